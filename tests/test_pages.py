"""
README and docs: every block of commands, Python or YAML does what its page says, in a folder with what a reader has.

Behind `$ ` in a block stands a command and then what it prints, with `...` for lines that are left out. It is compared
as in a doctest, and by its words alone where `OTHER_FIGURES` says why. `quickstart.tar.xz` has the quickstart's runs
as far as pages print something of them: samples of the base, and of two runs what is no weights (parquet stored
uncompressed, advantages rounded, no paths of the machine), packed by `tar cJf`.
"""

import contextlib
import doctest
import glob
import itertools
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from trl import ModelConfig

from conftest import OUR_DATA, REPOSITORY, TESTS
from hicra_trl import HICRAConfig
from hicra_trl.cli.campaign import CampaignArguments
from hicra_trl.cli.main import main
from hicra_trl.grams import StrategicGrams
from hicra_trl.playground.pretrain import BASES
from hicra_trl.training.arguments import RunArguments


PAGES = ["README.md", *sorted(str(page.relative_to(REPOSITORY)) for page in REPOSITORY.glob("docs/**/*.md"))]
# Why a command or a Python block that holds one of these is not run. All others are.
NOT_RUN = {
    "downloads": ["pip install", "python3 -m venv", "git clone", "make install", "models/smollm2-135m"],
    "minutes": [
        *("make quickstart", "make check", "hicra playground", "playground.inspect", "campaign show runs/playground"),
        *("python benchmarks/", "torchrun"),
    ],
    "a GPU": ["--engine vllm", "vllm serve", "vllm_mode server", "async_grpo", "--judge vllm"],
    "a hub": ["user/my-grams", "user/pass_at_k", "--judge transformers"],
    "a cluster": ["sbatch"],
}
OTHER_FIGURES = {
    "the test's model is smaller": ["eval/playground", "eval compare"],
}
# Trainings and judgements are planned, not run, and a script on a page is shortened.
DRY_RUNS = ("train", "campaign --config", "reproduce", "eval --model", "judge --judge server")
SHORTER = {
    '"Qwen/Qwen3-0.6B"': '"runs/base"',
    "max_steps=400": "max_steps=1",
    "max_completion_length=1024": "max_completion_length=16",
    "per_device_train_batch_size=64, max_steps=100": "max_completion_length=16, max_steps=1",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$|(?<=\n\n)((?: {4}(?:hicra|python) [^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Language and text of each block; indented commands are one too. What shows a prompt is a console's."""
    for language, text, indented in FENCE.findall((REPOSITORY / page).read_text()):
        text = text or re.sub("^    ", "", indented, flags=re.MULTILINE)
        yield ("console" if text.startswith("$ ") else language or "bash" * bool(indented)), text.replace("\\\n", " ")


def commands(language, text):
    """Each command, and what the page says it prints."""
    if language == "console":
        return [re.match(r"(.*)\n([^\0]*)", part).groups() for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    return [(line, "") for line in text.splitlines() if line and line[0] != "#"] if language == "bash" else []


def listed(table, text):
    return any(part in text for parts in table.values() for part in parts)


@pytest.fixture(scope="module")
def world(model_folder, tmp_path_factory):
    """What a reader has: data, a model, the quickstart's runs, a run and evaluations of their own."""
    world = tmp_path_factory.mktemp("world")
    shutil.unpack_archive(TESTS / "quickstart.tar.xz", world)
    shutil.copytree(OUR_DATA / "benchmarks", world / "benchmarks")
    shutil.copy(OUR_DATA / "benchmarks" / "aime24.jsonl", world / "my_aime24.jsonl")
    shutil.copy(OUR_DATA / "gsm8k_train.jsonl", world / "test.jsonl")
    shutil.copytree(world / "runs" / "playground" / "base", world / "traces")
    base = shutil.copytree(model_folder, world / "runs" / "base")
    (base / "chat_template.jinja").write_text("{% for turn in messages %}{{ turn.content }}\n{% endfor %}")
    # In place of the quickstart's base, whose pretraining takes minutes.
    stand_in = shutil.copytree(base, world / "runs" / "playground" / "base", dirs_exist_ok=True)
    (stand_in / "pretraining.json").write_text(json.dumps({"fingerprint": BASES["playground"]["base"].fingerprint}))
    hicra = world / "runs" / "playground" / "hicra-seed1"
    record = files("hicra_trl.analysis.viewer").joinpath("playground-demo", "token_records")
    shutil.copytree(record, hicra / "token_records")
    StrategicGrams.paper().save(hicra / "strategic_grams")
    shutil.copy(world / "runs" / "grpo-seed1" / "gram_outcomes.parquet", hicra)
    rows = [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(16)]
    (world / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (world / "answer.txt").write_text("Let's try a different angle. But wait, 2 + 2 = 4.")
    shutil.copy(world / "answer.txt", world / "completion.txt")
    (world / "my_grams.txt").write_text("hold on\nlet me see\n")
    shutil.copy(hicra / "samples.jsonl", world / "labels.jsonl")
    conditions = {name: {"recipe": f"playground/{name}"} for name in ("grpo", "hicra")}
    (world / "campaign.yaml").write_text(
        yaml.safe_dump({"folder": "runs/ours", "seeds": [1], "conditions": conditions})
    )
    recipe = {
        **{"model_name_or_path": "runs/base", "dataset_name": "problems.jsonl"},
        **{"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 16, "max_steps": 40},
        **{"save_steps": 20, "logging_steps": 1, "log_completions": True, "num_completions_to_print": 0},
        **{"token_record": 10, "report_to": "none", "use_cpu": True, "bf16": False, "output_dir": "runs/whole"},
    }
    (world / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    shutil.copy(REPOSITORY / "accelerate_configs" / "zero3.yaml", world / "my_cluster.yaml")
    own = [f"{name}.dataset=benchmarks/{name}.jsonl" for name in ("aime24", "amc23")]
    evaluate = ["eval", "--config", "eval/playground", "--benchmarks", "aime24", "amc23"]
    with contextlib.chdir(world):
        adapter = get_peft_model(AutoModelForCausalLM.from_pretrained("runs/base"), LoraConfig(r=4))
        assert main(["train", "--config", "recipe.yaml"]) == 0
        assert main([*evaluate, "--override", *own, "--output_dir", "runs/eval/base"]) == 0
        assert main([*evaluate, "--override", *own, "--temperature", "1", "--output_dir", "runs/eval/hotter"]) == 0
    copies = {
        "playground/hicra-seed1": "playground/grpo-seed1 playground/outcome playground/random grpo hicra",
        "whole": "mine a b lora smollm2-135m/grpo_lora smollm2-135m/hicra_lora",
        "eval/base": "eval/mine eval/playground eval/hicra eval/grpo",
    }
    for source, names in copies.items():
        for name in names.split():
            copy = shutil.copytree(world / "runs" / source, world / "runs" / name)
            if source != "eval/base":
                # Of runs with the same settings and seed there is only one.
                recipe = yaml.safe_load((copy / "resolved_config.yaml").read_text())
                recipe["alpha"] = 0.0 if "grpo" in name else len(name) / 100
                (copy / "resolved_config.yaml").write_text(yaml.safe_dump(recipe))
    for name in ("grpo", "hicra"):
        shutil.copytree(base, world / "runs" / name, dirs_exist_ok=True)
    for checkpoint in ("", "checkpoint-40"):
        (world / "runs" / "lora" / checkpoint / "model.safetensors").unlink()
        adapter.save_pretrained(world / "runs" / "lora" / checkpoint)
    # Their own run was stopped in step 39.
    shutil.rmtree(world / "runs" / "mine" / "checkpoint-40")
    manifest = world / "runs" / "mine" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "finished": None}))
    return world


def run(command, wanted, capfd):
    """Runs one command; returns its exit status and what it prints."""
    words = list(itertools.takewhile(lambda word: word not in (">", "&"), shlex.split(command, comments=True)))
    words = [name for word in words for name in (sorted(glob.glob(word)) if "*" in word else [word])]
    if words[0] != "hicra":
        done = subprocess.run(command, shell=True, executable="/bin/bash", capture_output=True, text=True)
        return done.returncode, done.stdout
    refused = wanted.startswith("hicra ")
    if not refused and any(set(planned.split()) <= set(words) for planned in DRY_RUNS):
        words += ["--dry_run"] * ("--dry_run" not in words)
        if words[1] == "train" and not wanted and not {"--resume", "--output_dir"} & set(words):
            # The recipe's own folder may hold a run already.
            words += ["--output_dir", "runs/planned"]
    capfd.readouterr()
    try:
        status = main(words[1:])
    except SystemExit as stopped:
        status = stopped.code
    printed, said = capfd.readouterr()
    return status, said if status == 2 else printed


def differs(wanted, printed, other_figures):
    """What a command should have printed, where it printed something else."""
    if other_figures:
        return " ".join(words_of(wanted) - words_of(printed))
    how = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return "" if doctest.OutputChecker().check_output(wanted, printed, how) else wanted


def words_of(text):
    return set(re.findall(r"[A-Za-z@_]{2,}", text))


def run_python(page, text, names):
    """Runs a block; returns what an example in it printed instead of what it says."""
    for longer, shorter in SHORTER.items():
        text = text.replace(longer, shorter)
    if ">>>" not in text:
        exec(compile(text, page, "exec"), names)
        return []
    said = []
    test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append, clear_globs=False)
    # A later block of the page goes on from there.
    names |= test.globs
    return said


def keep_yaml(page, text):
    """Writes the file that the page's next command reads; returns the unknown fields of a recipe that none reads."""
    file = re.search(r"--config (\w+\.yaml)", (REPOSITORY / page).read_text().partition(text)[2])
    if file:
        Path(file[1]).write_text(text)
        return []
    known = {
        field.name for part in (RunArguments, HICRAConfig, ModelConfig, CampaignArguments) for field in fields(part)
    }
    return sorted(yaml.safe_load(text).keys() - known)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page, world, tmp_path, monkeypatch, capfd, tokenizer):
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "reader"))
    samples = Path("traces", "samples.jsonl").read_text().splitlines()
    names = {
        **{"tokenizer": tokenizer, "token_ids": torch.arange(8)[None], "mask": torch.ones(1, 8, dtype=torch.bool)},
        "solutions": [json.loads(line)["completion"] for line in samples],
    }
    faults = []
    for language, text in blocks(page):
        if language == "yaml":
            faults += keep_yaml(page, text)
        elif language == "python" and not listed(NOT_RUN, text):
            faults += run_python(page, text, names)
        for command, wanted in commands(language, text):
            if not listed(NOT_RUN, command):
                status, printed = run(command, wanted, capfd)
                # `hicra health` says by its status whether something is wrong with the run.
                if status not in ([2] if wanted.startswith("hicra ") else [0, 1] if "health" in command else [0]):
                    faults.append(f"{command}\nexit status {status}\n{printed}")
                elif wanted and (missing := differs(wanted, printed, listed(OTHER_FIGURES, command))):
                    faults.append(f"{command}\nprinted\n{printed}\nexpected\n{missing}")
    assert not faults, "\n\n".join(faults)


def test_what_the_tables_name_is_on_a_page():
    found = [(language, text) for page in PAGES for language, text in blocks(page)]
    said = [command for block in found for command, _ in commands(*block)]
    said += [text for language, text in found if language == "python"]
    for part in [*SHORTER, *itertools.chain(*NOT_RUN.values(), *OTHER_FIGURES.values())]:
        assert any(part in text for text in said), part


def test_the_readmes_recipe_is_the_one_whose_curve_it_tells():
    [text] = [text for language, text in blocks("README.md") if language == "yaml"]
    ours = yaml.safe_load(text)
    measured = yaml.safe_load((REPOSITORY / "recipes" / "smollm2-135m" / "hicra_lora.yaml").read_text())
    shown = {
        "output_dir",
        "logging_steps",
        "num_completions_to_print",
        "per_device_eval_batch_size",
        "save_total_limit",
    }
    assert {name: value for name, value in ours.items() if measured.get(name) != value} == {"output_dir": "runs/mine"}
    left_out = measured.keys() - ours.keys() - shown
    for field in [field for part in (RunArguments, HICRAConfig, ModelConfig) for field in fields(part)]:
        if field.name in left_out and field.name != "steps_per_generation":
            default = field.default if field.default_factory is MISSING else field.default_factory()
            assert measured[field.name] == default, field.name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """PyPI shows README alone, so its links are absolute."""
    home = re.compile(r"https://(?:github|raw\.githubusercontent)\.com/hicra-trl/hicra-trl/(?:(?:blob|tree)/)?main/")
    for target in re.findall(r"\]\(([^)#\s]+)", (REPOSITORY / page).read_text()):
        if home.match(target):
            assert (REPOSITORY / home.sub("", target)).exists(), target
        elif not target.startswith("http"):
            assert page != "README.md" and (REPOSITORY / page).parent.joinpath(target).exists(), target
