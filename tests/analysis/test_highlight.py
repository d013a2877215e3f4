from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hicra_trl.analysis.highlight import Recorded, highlight, highlight_tokens
from hicra_trl.analysis.page import html_table, page
from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.grams import GramMatcher, StrategicGrams

from .synthetic_record import write_synthetic_record


MATCHER = GramMatcher(StrategicGrams(["but wait", "wait, no", "let's try", "<b>so"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing", "nothing"),
        ("2 < 3. But wait, why?", '2 &lt; 3. <mark title="but wait">But wait</mark>, why?'),
        ("but wait, no!", '<mark title="but wait, wait, no">but wait, no</mark>!'),
        ("Ü let’s\n try", 'Ü <mark title="let&#x27;s try">let’s\n try</mark>'),
        ("<b>so", '<mark title="&lt;b&gt;so">&lt;b&gt;so</mark>'),
        ("butwait let's trying", "butwait let&#x27;s trying"),
    ],
)
def test_grams_are_marked_and_everything_is_escaped(text, expected):
    assert highlight(text, MATCHER) == expected


@given(st.text())
def test_any_text_is_kept_and_escaped(text):
    html = highlight(text + " but wait " + text, MATCHER)
    bare = html.replace("</mark>", "")
    while "<mark" in bare:
        start = bare.index("<mark")
        bare = bare[:start] + bare[bare.index(">", start) + 1 :]
    assert "<" not in bare and ">" not in bare
    assert html.count("<mark") >= 1


def test_pages_fetch_nothing_and_escape_titles_and_cells():
    html = page("<script>", html_table(["a"], [["<img src=x>"]]))
    assert "<title>&lt;script&gt;</title>" in html and "&lt;img src=x&gt;" in html
    assert "default-src 'none'" in html


def test_recorded_tokens_are_marked_by_class_and_none_is_broken(tmp_path):
    (row, *_) = TokenRecord.read(write_synthetic_record(tmp_path, steps=[3])).rows(3)
    tokens = [b"<b>", b" But", b" wait", b"\xe2\x82", b"\xac", b"<|im_end|>"]
    place = np.arange(6)
    row = replace(
        row,
        completion=b"".join(tokens),
        ends=np.cumsum([len(token) for token in tokens]).astype(np.int32),
        ids=place,
        planning=(place == 1) | (place == 2),
        gram=np.where((place == 1) | (place == 2), 0, -1),
    )
    assert highlight_tokens(row, (place == 2) | (place == 4)) == (
        '&lt;b&gt;<mark class="planning" title="but wait"> But</mark><mark class="both" title="but wait"> wait</mark>'
        '<mark class="high">€</mark>&lt;|im_end|&gt;'
    )


def test_a_saved_completion_is_found_in_the_record_of_the_step_that_it_was_sampled_for(tmp_path):
    record = TokenRecord.read(write_synthetic_record(tmp_path, steps=[3, 13]))
    recorded, row = Recorded(tmp_path), record.rows(3)[5]
    text = row.text.removesuffix("<|im_end|>")
    least = np.quantile(np.concatenate([row.entropy for row in record.rows(3)]).astype(np.float32), 0.8)
    for step in (3, 4, 12):
        found, high = recorded.find(step, text)
        assert (found.group, found.index) == (row.group, row.index) and np.array_equal(high, row.entropy > least)
    for step, other in ((2, text), (13, text), (3, text[:-1]), (3, ""), (3, "else")):
        assert recorded.find(step, other) is None
