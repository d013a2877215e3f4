"""Every recipe can be planned with every Accelerate configuration that it is for, with neither network nor GPU."""

import re
import socket

import pytest
import yaml

from hicra_trl.cli.train import parse, run
from hicra_trl.training.runs.manifest import resolved_recipe

from .catalog import ALL, COMPLETE, LAPTOP, PAPER, PLAYGROUND, list_recipes, path, read


# By name, the processes: what a recipe for several GPUs may run on, and one for a single card.
NODES = {"two_nodes": 16, "four_nodes": 32, "zero3": 8, "zero3_offload": 8, "fsdp2": 8}
CARDS = {"single_gpu": 1, "ddp": 8, "zero2": 8}
PLANS = [
    (recipe, name, processes)
    for recipe in COMPLETE
    for name, processes in (NODES if recipe.split("/")[0] in PAPER else CARDS).items()
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"a plan needs no network, got a connection to {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(("recipe", "config", "processes"), PLANS)
def test_a_recipe_has_the_same_batch_on_any_number_of_gpus_and_fits_into_them(recipe, config, processes, capsys):
    given = read(recipe)
    # The first of them is the one that the recipe names.
    named = next(name for other, name, _ in PLANS if other == recipe)
    assert given["accelerate_config"] == named
    launch = [] if config == named else ["--accelerate_config", config]
    assert run(["--config", str(path(recipe)), *launch, "--dry_run"]) == 0
    per_step, at_once = given["completions_per_step"], given["per_device_train_batch_size"]
    pattern = r"(\d+) processes x (\d+) completions x (\d+) accumulation steps = (\d+)"
    shown = capsys.readouterr().out
    batch = [int(number) for number in re.search(pattern, shown).groups()]
    assert batch == [processes, at_once, per_step // (processes * at_once), per_step]
    memory = "80 GB" if recipe.split("/")[0] in PAPER else "24 GB"
    assert f"{memory}       fits" in shown


@pytest.mark.parametrize("recipe", list_recipes(LAPTOP | PLAYGROUND))
def test_a_recipe_for_two_cores_is_planned(recipe, capsys):
    assert run(["--config", str(path(recipe)), "--dry_run"]) == 0
    assert read(recipe)["output_dir"] in capsys.readouterr().out


@pytest.mark.parametrize("recipe", ALL)
def test_what_a_run_records_of_its_recipe_is_planned_as_the_recipe_is(recipe, tmp_path, capsys):
    job, plans = parse(["--config", str(path(recipe)), "--dry_run"]), []
    resolved = tmp_path / "resolved_config.yaml"
    resolved.write_text(yaml.safe_dump(resolved_recipe(job.run_args, job.config, job.model_args)))
    for file in (path(recipe), resolved):
        assert run(["--config", str(file), "--dry_run"]) == 0
        plans.append(capsys.readouterr().out.partition("\n\nset by the recipe")[0])
    assert plans[0] == plans[1]
    # Runs of minutes save none.
    assert ("\nwarning " in plans[0]) == (read(recipe).get("save_strategy") == "no")
