import pytest
from hypothesis import given
from hypothesis import strategies as st

from hicra_trl.analysis.highlight import highlight
from hicra_trl.analysis.page import html_table, page
from hicra_trl.grams import GramMatcher, StrategicGrams


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
