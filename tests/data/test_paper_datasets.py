"""The paper's training sets, from files shaped like theirs; ViRL39K also from a Hub, and as TRL reads it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Image, List
from PIL import Image as Picture
from trl.data_utils import is_conversational, prepare_multimodal_messages

from hicra_trl.data.paper_datasets import find_known, plain_problem
from hicra_trl.data.prompts import DataArguments, load_training_prompts
from hicra_trl.data.virl import unboxed
from hicra_trl.rewards.boxed import BOXED_INSTRUCTION
from loopback_hub import LoopbackHub


TEMPLATE = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n{}\n\nRemember to put your answer on its "
    'own line after "Answer:".'
)


@pytest.fixture(autouse=True)
def assets(tmp_path, monkeypatch):
    monkeypatch.setattr("hicra_trl.data.archives.cached_assets_path", lambda *_, **__: tmp_path / "assets")


def dapo_raw(problem, gold, index=0):
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": TEMPLATE.format(problem), "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": gold, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": f"uuid-{index}"},
    }


def dapo(problem, gold, template="{}"):
    raw = dapo_raw(problem, gold)
    return raw | {"prompt": template.format(problem), "solution": gold, "source_prompt": raw["prompt"]}


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)
    return str(file)


def load(name, path, **fields):
    return load_training_prompts(DataArguments(dataset_name=name, dataset_path=path, **fields))


def problems(dataset):
    """What is asked and what is right, without the instruction that each prompt ends with."""
    asked = [turns[0]["content"] for turns in dataset["prompt"]]
    assert all(text.endswith(f"\n\n{BOXED_INSTRUCTION}") for text in asked)
    return list(zip((text.removesuffix(f"\n\n{BOXED_INSTRUCTION}") for text in asked), dataset["solution"]))


# Names


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("dapo", ("dapo", "open-r1/DAPO-Math-17k-Processed")),
        ("open-r1/DAPO-Math-17k-Processed", ("dapo", "open-r1/DAPO-Math-17k-Processed")),
        ("BytedTsinghua-SIA/DAPO-Math-17k", ("dapo", "BytedTsinghua-SIA/DAPO-Math-17k")),
        ("deepscaler", ("deepscaler", "agentica-org/DeepScaleR-Preview-Dataset")),
        ("agentica-org/DeepScaleR-Preview-Dataset", ("deepscaler", "agentica-org/DeepScaleR-Preview-Dataset")),
        ("ViRL39K", ("virl39k", "TIGER-Lab/ViRL39K")),
        ("tiger-lab/virl39k", ("virl39k", "TIGER-Lab/ViRL39K")),
        ("./dapo", None),
        ("dapo.jsonl", None),
        ("somebody/dapo", None),
    ],
)
def test_short_names_and_repositories_are_known(name, known):
    assert find_known(name) == known


# DAPO and DeepScaleR


@pytest.mark.parametrize("name", ["dapo", "open-r1/DAPO-Math-17k-Processed"])
def test_processed_dapo_with_and_without_its_template(name, tmp_path):
    file = write(tmp_path / "all.parquet", [dapo("1 + 1?", "2"), dapo("Two lines:\n\n2 + 2?", "4", TEMPLATE)])
    dataset = load(name, file)
    assert problems(dataset) == [("1 + 1?", "2"), ("Two lines:\n\n2 + 2?", "4")]
    assert set(dataset.column_names) == {"prompt", "solution"}
    assert dataset[0]["prompt"][0]["role"] == "user"


def test_raw_dapo_loses_its_copies_and_its_conflicts(tmp_path, capsys):
    rows = [dapo_raw(f"Find {i}.", str(i)) for i in range(3)] + [dapo_raw("Both?", "1"), dapo_raw("Both?", "-3")]
    file = write(tmp_path / "data" / "dapo-math-17k.parquet", [rows[i % 5] for i in range(500)])
    for path in (file, tmp_path):
        dataset = load("BytedTsinghua-SIA/DAPO-Math-17k", str(path))
        assert problems(dataset) == [("Find 0.", "0"), ("Find 1.", "1"), ("Find 2.", "2")]
        line = "500 rows read, 0 without a problem or a gold answer, 297 duplicates, 200 with conflicting gold answers"
        assert f"dapo: {line}, 3 kept\n" in capsys.readouterr().err


def test_the_template_is_stripped_once_and_for_all():
    once = plain_problem(TEMPLATE.format("  1 + 1?  "))
    assert (
        once == plain_problem(once) == plain_problem([{"role": "user", "content": TEMPLATE.format(once)}]) == "1 + 1?"
    )
    assert plain_problem('Say "Answer:".') == 'Say "Answer:".'


def test_a_copy_of_the_repository_gives_the_configuration_that_is_asked_for(tmp_path):
    for config, problem in (("all", "1 + 1?"), ("en", "2 + 2?")):
        write(tmp_path / config / "train-00000-of-00001.parquet", [dapo(problem, "2")])
    assert problems(load("dapo", str(tmp_path))) == [("1 + 1?", "2")]
    assert problems(load("dapo", str(tmp_path), dataset_config="en")) == [("2 + 2?", "2")]
    with pytest.raises(ValueError, match="no configuration 'cn' in"):
        load("dapo", str(tmp_path), dataset_config="cn")
    with pytest.raises(ValueError, match="has no configuration 'fr': expected all, en, cn"):
        load("dapo", str(tmp_path), dataset_config="fr")


def test_a_configuration_is_of_the_first_dataset_alone(tmp_path):
    write(tmp_path / "en" / "train.parquet", [dapo("1 + 1?", "2")])
    other = write(tmp_path / "deepscaler.parquet", [{"problem": "2 + 2?", "answer": "4"}])
    names = {"dataset_name": "dapo", "extra_datasets": ["deepscaler"]}
    args = DataArguments(**names, dataset_path=[str(tmp_path), other], dataset_config="en")
    assert load_training_prompts(args)["solution"] == ["2", "4"]


def test_deepscaler_keeps_latex_golds_and_drops_what_has_none(tmp_path, capsys):
    golds = (r"\frac{1}{2}", r"(3, \infty)", r"\text{Monday}", "", None, " ")
    rows = [{"problem": f"Find {i}.", "answer": gold, "solution": "Long."} for i, gold in enumerate(golds)]
    (tmp_path / "deepscaler.json").write_text(json.dumps([*rows, rows[0]]))
    for path in (tmp_path, tmp_path / "deepscaler.json"):
        dataset = load("deepscaler", str(path))
        assert problems(dataset) == [(f"Find {i}.", golds[i]) for i in range(3)]
        assert set(dataset.column_names) == {"prompt", "solution"}
        assert "7 rows read, 3 without a problem or a gold answer, 1 duplicates" in capsys.readouterr().err


@pytest.mark.parametrize(("golds", "expected"), [([2, -3], ["2", "-3"]), ([2.0, 0.5], ["2", "0.5"])])
def test_numbers_as_golds(golds, expected, tmp_path):
    rows = [{"problem": f"Find {i}.", "answer": gold} for i, gold in enumerate(golds)]
    assert load("deepscaler", write(tmp_path / "data.parquet", rows))["solution"] == expected


def test_a_prompt_of_plain_text_for_a_base_model(tmp_path):
    file = write(tmp_path / "data.parquet", [dapo("1 + 1?", "2", TEMPLATE)])
    assert load("dapo", file, prompt_format="text", instruction="Box it.")["prompt"] == ["1 + 1?\n\nBox it."]


def test_what_is_not_the_dataset_that_it_is_said_to_be_is_refused(tmp_path):
    file = write(tmp_path / "data.parquet", [{"problem": "1 + 1?", "answer": "2"}])
    with pytest.raises(ValueError, match="dapo: expected the columns prompt, reward_model, got problem, answer"):
        load("dapo", file)
    with pytest.raises(ValueError, match="no dapo at nowhere: expected a file or a folder"):
        load("dapo", "nowhere")
    with pytest.raises(ValueError, match=r"no dataset in .*: expected a .parquet"):
        (tmp_path / "empty").mkdir()
        load("dapo", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="gold_marker: the columns of dapo are known"):
        load("dapo", file, gold_marker="####")
    assert load("dapo", write(tmp_path / "dapo.parquet", [dapo("1?", "1")]), eval_dataset_name="x", gold_marker="####")
    with pytest.raises(ValueError, match="deepscaler: expected problems with gold answers, got none in 1 rows"):
        load("deepscaler", write(tmp_path / "none.parquet", [{"problem": "1 + 1?", "answer": ""}]))


def test_without_a_hub_the_repository_is_named():
    with pytest.raises(ValueError, match="no dataset 'agentica-org/DeepScaleR-Preview-Dataset'"):
        load_training_prompts(DataArguments(dataset_name="deepscaler"))
    with pytest.raises(ValueError, match=r"cannot load 39Krelease.parquet and images.zip of TIGER-Lab/ViRL39K"):
        load_training_prompts(DataArguments(dataset_name="virl39k"))


# ViRL39K

VIRL = [
    {"question": "<image>What is the area?", "answer": r"\boxed{\frac{1}{2}}", "image": ["images/1-0.png"]},
    {"question": "<image>\n<image> Which?", "answer": r"\boxed{A}", "image": ["images/2-0.png", "images/2-1.png"]},
    {"question": "1 + 1?", "answer": "2", "image": []},
    {"question": "Two? <image>", "answer": r"\boxed{A}", "image": ["images/1-0.png", "images/2-0.png"]},
]


@pytest.fixture(params=["zip", "flat zip", "folder"])
def virl(request, tmp_path):
    """A folder with the rows, and the images in each of the ways in which they can lie there."""
    folder = tmp_path / "virl"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(("1-0.png", "2-0.png", "2-1.png")):
        Picture.new("RGB", (4 + number, 4)).save(folder / "images" / name)
    write(folder / "39Krelease.parquet", [row | {"qid": str(i)} for i, row in enumerate(VIRL)])
    if request.param != "folder":
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for file in sorted((folder / "images").iterdir()):
                archive.write(file, file.name if request.param == "flat zip" else f"images/{file.name}")
                file.unlink()
        (folder / "images").rmdir()
    return folder


def test_virl_becomes_what_trl_trains_vision_models_on(virl, capsys):
    dataset = load("virl39k", str(virl))
    assert problems(dataset) == [("What is the area?", r"\frac{1}{2}"), ("Which?", "A"), ("1 + 1?", "2")]
    assert dataset.features["images"] == List(Image())
    assert (
        "4 rows read, 0 without a problem or a gold answer, 1 with another number of images" in capsys.readouterr().err
    )
    for row, widths in zip(dataset, ([4], [5, 6], [])):
        assert is_conversational(row)
        (turn,) = prepare_multimodal_messages(row["prompt"], images=row["images"])
        assert [part["type"] for part in turn["content"]] == ["image"] * len(widths) + ["text"]
        assert [part["image"].width for part in turn["content"][:-1]] == widths
        assert "<image>" not in turn["content"][-1]["text"]


def test_images_are_not_read_before_their_row_is(virl):
    dataset = load("virl39k", str(virl))
    stored = dataset.data.column("images").to_pylist()
    assert all(image["bytes"] is None for images in stored for image in images)
    os.remove(stored[0][0]["path"])
    assert dataset[1]["images"][0].width == 5
    with pytest.raises(FileNotFoundError):
        dataset[0]


@pytest.mark.parametrize("name", ["images/9-0.png", "../39Krelease.parquet", "/etc/hostname", "images/../../virl"])
def test_an_image_that_is_not_there_or_elsewhere_is_an_error_when_loaded(virl, name):
    write(virl / "39Krelease.parquet", [VIRL[0], VIRL[0] | {"image": [name]}])
    with pytest.raises(ValueError, match=r"virl39k, row 1: expected its image .* got no such file"):
        load("virl39k", str(virl))


def test_what_virl_lacks_is_named(virl):
    with pytest.raises(ValueError, match="virl39k has images: expected prompt_format 'chat', got 'text'"):
        load("virl39k", str(virl), prompt_format="text")
    write(virl / "39Krelease.parquet", [VIRL[3]])
    with pytest.raises(
        ValueError, match="expected questions with an <image> token for each image, got none in 1 rows"
    ):
        load("virl39k", str(virl))
    write(virl / "39Krelease.parquet", [VIRL[0] | {"answer": r"\boxed{1"}])
    with pytest.raises(ValueError, match=r"row 0, 'answer': expected a closed \\boxed"):
        load("virl39k", str(virl))
    write(virl.parent / "bare" / "39Krelease.parquet", VIRL)
    with pytest.raises(ValueError, match=r"no images in .*: expected images.zip or a folder images/"):
        load("virl39k", str(virl.parent / "bare"))


def test_golds_come_out_of_their_boxes():
    assert unboxed(r"\boxed{\text{a } \{b\}}", "") == r"\text{a } \{b\}"
    assert unboxed("60", "") == "60"


@pytest.mark.parametrize("virl", ["zip"], indirect=True)
def test_short_names_stand_for_repositories_on_the_hub(virl, tmp_path):
    script = """
from hicra_trl.data.prompts import DataArguments, load_training_prompts
from hicra_trl.data.mixture import read_problems
virl = load_training_prompts(DataArguments(dataset_name="virl39k"))
print(len(virl), [image.width for image in virl[1]["images"]])
print(load_training_prompts(DataArguments(dataset_name="dapo"))["solution"][:])
print([len(read_problems(f"open-r1/DAPO-Math-17k-Processed:{config}")) for config in ("all", "cn")])
"""
    configs = [f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("all", "cn")]
    processed = {"README.md": f"---\nconfigs:\n{''.join(configs)}---\n".encode()}
    for name, rows in (("all", [dapo("1 + 1?", "2", TEMPLATE)]), ("cn", [dapo("1 + 1?", "3", TEMPLATE)] * 3)):
        file = write(tmp_path / name / "train-00000-of-00001.parquet", rows)
        processed[f"{name}/train-00000-of-00001.parquet"] = Path(file).read_bytes()
    with LoopbackHub() as hub:
        hub.put("TIGER-Lab/ViRL39K", "dataset", {file.name: file.read_bytes() for file in virl.iterdir()})
        hub.put("open-r1/DAPO-Math-17k-Processed", "dataset", processed)
        environment = {**os.environ, **hub.environment(tmp_path / "home")}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "3 [5, 6]\n['2']\n[1, 3]\n", done.stderr
    assert len(list((tmp_path / "home" / "assets" / "hicra_trl").rglob("*.png"))) == 3
