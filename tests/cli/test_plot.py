"""`hicra plot`, as a user calls it."""

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.run_folders import leave_run, made_up_logs
from hicra_trl.cli.main import main
from hicra_trl.cli.plot import default_output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plot")
    for method, alpha in (("grpo", 0.0), ("hicra", 0.2)):
        for seed in (1, 2):
            leave_run(folder / "runs" / f"{method}-seed{seed}", seed, made_up_logs(6, seed), alpha=alpha)
    return folder


def test_methods_and_seeds_are_found_and_figures_lie_beside_the_runs(folder):
    runs = [f"runs/{method}-seed{seed}" for method in ("hicra", "grpo") for seed in (1, 2)]
    done = subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", "plot", *runs], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "GRPO: seeds 1, 2",
        "HICRA: seeds 1, 2",
        *(f"runs/figures/{name}.png" for name in ("dynamics", "methods", "exploration")),
    ]
    assert [line.partition(" (")[0] for line in done.stderr.splitlines()] == [
        "hicra plot: no verdicts",
        "hicra plot: no token record",
        f"hicra plot: no gram outcomes yet in {', '.join(sorted(runs))}",
    ]
    written = sorted(file.suffix for file in (folder / "runs" / "figures").iterdir())
    assert written == [".csv"] * 3 + [".pdf"] * 3 + [".png"] * 3 + [".svg"] * 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["runs/a"], "runs/a/figures"),
        (["runs/a", "runs/b/"], "runs/figures"),
        (["a", "b"], "figures"),
        (["runs/a", "others/b"], "figures"),
    ],
)
def test_where_figures_go(given, expected):
    assert default_output(given) == Path(expected)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--formats", "png"], "hicra plot: expected the folders of runs in front of any --field, got none"),
        (["nowhere"], "hicra plot: no run at nowhere: expected a folder with manifest.json and resolved_config.yaml"),
        (["RUN", "--figures", "dynamic"], "hicra plot: figures must be among dynamics, errors, methods, forks, "),
        (["RUN", "--formats", "jpg"], "hicra plot: formats must be among svg, pdf, png, got 'jpg'"),
        (["RUN", "--output", ""], "hicra plot: output must be text that is not empty, got ''"),
        (["RUN", "--figures", "forks"], "hicra plot: nothing to draw: no token record"),
        (["RUN", "RUN"], "is given more than once: expected different runs"),
        (["RUN", "--output", "RUN/manifest.json"], "manifest.json is a file: expected a folder for the figures"),
    ],
)
def test_wrong_input_gets_one_line_and_status_2(argv, message, folder, capsys):
    run = str(folder / "runs" / "grpo-seed1")
    with pytest.raises(SystemExit) as stopped:
        main(["plot", *(part.replace("RUN", run) for part in argv)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error
