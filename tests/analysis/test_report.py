import json
import shutil
import subprocess

import matplotlib.image
import pytest

from analysis.run_folders import leave_run, made_up_logs
from hicra_trl.analysis.report import write_report
from hicra_trl.grams import StrategicGrams


HOSTILE = "</pre><script>document.title = 'run'</script><img src=http://example.com/x> But wait, 1 < 2"


@pytest.fixture
def runs(tmp_path):
    """Two methods of two seeds, and a base, as the playground leaves them."""

    def leave(folder, accuracy, seed=1):
        if folder.name == "base":
            folder.mkdir()
        else:
            alpha = 0.2 if folder.name.startswith("hicra") else 0.0
            leave_run(folder, seed, made_up_logs(6, seed), alpha=alpha, base="base")
        outcomes = {"correct": accuracy, "strategy: gave up": 0.9 - accuracy, "execution: wrong step": 0.1}
        record = {"accuracy": accuracy, "step_accuracy": 0.99, "mean_length": 30.0, "outcomes": outcomes}
        (folder / "outcomes.json").write_text(json.dumps(record))
        sample = {"prompt": "Using <3>", "completion": HOSTILE, "outcome": "strategy: gave up"}
        (folder / "samples.jsonl").write_text(json.dumps(sample) + "\n")
        StrategicGrams.paper().save(folder / "strategic_grams")
        return folder

    base = leave(tmp_path / "base", 0.2)
    grpo, hicra = ([leave(tmp_path / f"{m}-seed{s}", 0.5, s) for s in (1, 2)] for m in ("grpo", "hicra"))
    return {"base": [base], "grpo": grpo, "hicra": hicra}


def test_the_report_is_one_file_that_escapes_what_models_wrote(runs, tmp_path):
    path = write_report(tmp_path / "out" / "report.html", runs)
    html = path.read_text()
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
    assert '<mark title="but wait, but, wait">But wait</mark>' in html
    for expected in (
        "GRPO and HICRA",
        "2 seeds",
        "20.0 %",
        "50.0 +- 0.0 %",
        "Semantic entropy",
        "<td>strategy: gave up</td><td>70.0 %</td><td>40.0 +- 0.0 %</td>",
        "<svg",
    ):
        assert expected in html
    assert matplotlib.image.imread(path.with_name("figures.png")).shape[1] > 1000


def test_a_browser_shows_it_and_asks_for_nothing(runs, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium")
    path = write_report(tmp_path / "report.html", runs)
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    log = tmp_path / "net.json"
    command = [
        browser,
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={log}",
        "--dump-dom",
    ]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "<title>HICRA report</title>" in done.stdout and "<mark" in done.stdout
    assert "example.com" not in log.read_text()
