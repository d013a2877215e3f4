"""What is drawn: every seed, the mean of all of them with Student's interval, and the same numbers as CSV."""

import csv
import io

import numpy as np
import pytest

from hicra_trl.dynamics.curves import Line, Panel, draw, numbers, save, to_svg
from hicra_trl.dynamics.logged import Metric, logged


def line(method="HICRA", kind="", **seeds):
    return Line(
        method, kind, {seed: (np.array(steps, float), np.array(values)) for seed, (steps, values) in seeds.items()}
    )


def rows(*panels):
    return [tuple(row) for row in csv.reader(io.StringIO(numbers(panels)))][1:]


THREE = line(a=([1, 2, 3], [0.7, 1.0, 5.0]), b=([1, 2], [0.8, 1.0]), c=([1, 2, 4], [0.9, 1.0, 6.0]))


def test_a_mean_is_of_all_seeds_with_students_interval():
    steps, mean, half = THREE.mean()
    # Of 0.7, 0.8, 0.9: 4.302653 * 0.1 / sqrt(3). The steps that a seed lacks have none.
    assert steps.tolist() == [1, 2] and mean == pytest.approx([0.8, 1.0])
    assert half == pytest.approx([4.302653 * 0.1 / 3**0.5, 0])


def test_what_is_not_finite_is_in_no_mean():
    assert line(a=([1, 2], [1.0, np.inf]), b=([1, 2], [3.0, 1.0])).mean()[0].tolist() == [1]
    assert len(line(a=([1], [1.0])).mean()[0]) == 0


def test_the_table_has_every_point_and_every_mean():
    assert rows(Panel("Length", "tokens", [line("GRPO", "all", s=([2, 4], [0.1, 0.25]))])) == [
        ("Length", "all", "GRPO", "s", "2", "0.1", "", ""),
        ("Length", "all", "GRPO", "s", "4", "0.25", "", ""),
    ]
    found = rows(Panel("Length", "tokens", [THREE]))
    assert [row[3] for row in found] == ["a"] * 3 + ["b"] * 2 + ["c"] * 3 + ["mean"] * 2
    assert [float(cell) for cell in found[-2][4:]] == pytest.approx([1, 0.8, 0.5515862, 1.0484138])


def test_a_thin_line_a_seed_and_the_mean_on_top():
    [axis] = draw([Panel("Length", "tokens", [THREE])]).axes
    assert [drawn.get_xdata().tolist() for drawn in axis.lines] == [[1, 2, 3], [1, 2], [1, 2, 4], [1, 2]]
    assert axis.lines[-1].get_ydata() == pytest.approx([0.8, 1.0])
    assert [drawn.get_linewidth() > 1 for drawn in axis.lines] == [False, False, False, True]
    # One seed is the line alone.
    [axis] = draw([Panel("Length", "tokens", [line(s=([1, 2], [1.0, 2.0]))])]).axes
    assert [drawn.get_linewidth() > 1 for drawn in axis.lines if len(drawn.get_xdata())] == [True]


def test_a_method_looks_the_same_in_all_panels_and_kinds_differ_in_style():
    both = Panel("A", "nats", [line("GRPO", "planning", s=([1], [1.0])), line("HICRA", "execution", s=([1], [1.0]))])
    figure = draw([Panel("B", "nats", [line("HICRA", s=([1], [1.0]))]), both])
    looks = [{(drawn.get_color(), drawn.get_marker()) for drawn in axis.lines} for axis in figure.axes]
    assert looks[0] < looks[1] and len(looks[1]) == 2
    styles = [drawn.get_linestyle() for drawn in figure.axes[1].lines if len(drawn.get_xdata())]
    assert styles == ["-", "--"]
    assert "solid: planning, dashed: execution" in {text.get_text() for text in figure.axes[1].texts}
    assert [text.get_text() for text in figure.legends[0].texts] == ["HICRA", "GRPO"]


def test_twelve_methods_look_different():
    names = ["grpo", "HICRA", *"abcdefghij"]
    [axis] = draw([Panel("A", "nats", [line(name, s=([1], [1.0])) for name in names])]).axes
    looks = [(drawn.get_color(), drawn.get_marker()) for drawn in axis.lines if len(drawn.get_xdata())]
    assert len({*looks}) == len(looks) == 12 and looks[0] == ("#0072B2", "o")


def test_a_method_is_named_once_with_its_seeds_and_no_panel_is_empty():
    panels = [
        Panel("A", "nats", [line("GRPO", s=([1], [1.0]))]),
        Panel("B", "nats", [THREE]),
        Panel("C", "nats", [THREE]),
    ]
    figure = draw(panels)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["A", "B", "C"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["GRPO", "HICRA (n = 3)"]
    # A step is named below the last panel of each column.
    assert [axis.get_xlabel() for axis in figure.axes] == ["", "optimizer step", "optimizer step"]


def test_what_has_two_names_is_drawn_under_that_which_most_logs_have():
    metric = Metric("Accuracy", "pass@1", {"held out": ("held_out/pass_at_1", "eval_hicra/pass_at_1")})
    old, new = [{"step": 4, "eval_hicra/pass_at_1": 0.5}], [{"step": 4, "held_out/pass_at_1": 0.25}, {"step": 5}]
    panels, missing = logged([metric], {"GRPO": {"1": old}})
    assert rows(*panels) == [("Accuracy", "held out", "GRPO", "1", "4", "0.5", "", "")] and not missing
    # Two measures are not mixed in one panel.
    panels, missing = logged([metric], {"GRPO": {"1": old}, "HICRA": {"1": new}})
    assert rows(*panels) == [("Accuracy", "held out", "HICRA", "1", "4", "0.25", "", "")]
    assert missing == {"held_out/pass_at_1": [("GRPO", "1")]}
    panels, missing = logged([metric], {"GRPO": {"1": old}, "HICRA": {"1": [*new, *old]}})
    assert [row[2:6] for row in rows(*panels)] == [("GRPO", "1", "4", "0.5"), ("HICRA", "1", "4", "0.5")]
    assert not missing
    assert logged([metric], {"GRPO": {"1": []}}) == ([], {"held_out/pass_at_1": [("GRPO", "1")]})


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_figure_is_written_alike_twice(suffix, tmp_path):
    for name in ("a", "b"):
        save(draw([Panel("Length & width", "tokens", [THREE])]), tmp_path / f"{name}.{suffix}", "hicra plot")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"hicra plot" in (tmp_path / f"a.{suffix}").read_bytes()


def test_an_element_for_a_page_has_no_preamble():
    assert to_svg(draw([Panel("Length", "tokens", [THREE])])).startswith("<svg")
