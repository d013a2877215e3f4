"""What a campaign's page has more, where models were judged."""

import shutil

import pytest

from analysis.run_folders import leave_playground
from hicra_trl.analysis.campaign import Campaign
from hicra_trl.analysis.findings import find
from hicra_trl.analysis.report import judged_folders


HOSTILE = "</pre><script>document.title = 'run'</script><img src=http://example.com/x> But wait, 1 < 2"


@pytest.fixture
def campaign(tmp_path):
    return leave_playground(tmp_path, HOSTILE)


def test_the_page_has_what_was_judged_and_escapes_what_models_wrote(campaign, tmp_path):
    html = find(campaign).write_page(tmp_path / "report.html").read_text()
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
    assert '<mark title="but wait, but, wait">But wait</mark>' in html
    for expected in (
        "2 conditions x 2 seeds",
        "20.0 %",
        "50.0 +- 0.0 %",
        "HICRA - GRPO: +10.0 +- 0.0 points over 2 seeds: they differ",
        "Semantic entropy",
        ">strategy: gave up</th><td>70.0 %</td><td>40.0 +- 0.0 %</td><td>30.0 +- 0.0 %</td>",
        "<h4>HICRA: strategy: gave up</h4>",
        "<svg",
    ):
        assert expected in html


def test_what_was_not_judged_is_left_out(campaign, tmp_path):
    (tmp_path / "hicra-seed2" / "outcomes.json").unlink()
    of = Campaign.read(tmp_path)
    assert {name: [run.name for run in runs] for name, runs in judged_folders(of).items()} == {
        "base": ["base"],
        "grpo": ["grpo-seed1"],
        "hicra": ["hicra-seed1"],
    }
    shutil.rmtree(tmp_path / "base")
    assert judged_folders(Campaign.read(tmp_path)) == {}
    assert "before and after" not in find(of).write_page(tmp_path / "report.html").read_text()
