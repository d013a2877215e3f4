import matplotlib.image
import pytest

from analysis.run_folders import leave_playground
from hicra_trl.analysis.report import write_report


HOSTILE = "</pre><script>document.title = 'run'</script><img src=http://example.com/x> But wait, 1 < 2"


@pytest.fixture
def runs(tmp_path):
    return leave_playground(tmp_path, HOSTILE)


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
        ">strategy: gave up</th><td>70.0 %</td><td>40.0 +- 0.0 %</td>",
        "<svg",
    ):
        assert expected in html
    assert matplotlib.image.imread(path.with_name("figures.png")).shape[1] > 1000
