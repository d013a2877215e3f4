"""Every page that the package makes, in a real browser: axe-core, a narrow window, the dark, print, the keyboard."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.run_folders import leave_campaign, leave_playground
from analysis.synthetic_record import write_synthetic_record
from claims.invented import Truth, invent
from hicra_trl.analysis.findings import find
from hicra_trl.analysis.viewer import read_run, write_view
from hicra_trl.claims import report as claims_report
from hicra_trl.claims.verdicts import verdicts
from hicra_trl.cli.highlight import run as highlight
from hicra_trl.grams import StrategicGrams
from hicra_trl.training.runs.token_record import read_record, record_files, write_record
from registry import Package


AXE = Package(
    "npm",
    "axe-core",
    "4.14.1",
    "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
    ("package/axe.min.js",),
)
PAGES = ["report", "campaign", "claims", "highlight", "highlight_tokens", "view", "view_two", "view_words"]
WITH_FIGURES = ["report", "campaign", "claims"]
WITH_MARKS = [page for page in PAGES if page not in ("campaign", "claims")]
TEXT = "So <b>3</b>. But wait, let's try " + "a_very_long_word_that_has_no_space_to_break_at_" * 4


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of made-up runs, by name."""
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in PAGES}
    find(leave_playground(folder / "playground", TEXT)).write_page(made["report"])
    curves = {name: {seed: [0.1, 0.2 * i + seed / 50] for seed in range(1, 6)} for i, name in enumerate("abcdef", 1)}
    curves["f"][5] = None
    find(leave_campaign(folder / "campaign", curves)).write_page(made["campaign"])
    found, cost = invent(Truth(gain=0.02, more=0.2, sway=0.05), quick=True), [["runs", "hours"], ["playground", "1.5"]]
    told = verdicts(found, {"tables": {0: 0.2, 1: 0.25, 2: 0.3}})
    wide = "  ".join(f"column {i}" for i in range(20))
    result = claims_report.Result(told, found, ["Not finished: one"], cost, {"trl": "1.16.0"}, wide, is_quick=True)
    claims_report.write_page(result, made["claims"])
    (folder / "answer.txt").write_text(TEXT)
    highlight(["--input", str(folder / "answer.txt"), "--output", str(made["highlight"])])
    hicra, grpo = (write_synthetic_record(folder / name, alpha=alpha) for name, alpha in (("h", 0.2), ("g", 0.0)))
    for file in record_files(hicra)[1]:
        fingerprint = StrategicGrams.paper().fingerprint
        write_record(file, [replace(r, header=replace(r.header, lexicon=fingerprint)) for r in read_record(file)])
        texts = [row.text.removesuffix("<|im_end|>") for row in read_record(file)]
    for run, said in ((hicra, texts), (folder / "words", [TEXT, "so", "but wait"])):
        rows = {"step": [1] * len(said), "prompt": ["What is 3 + 4?"] * len(said), "completion": said}
        (run / "completions").mkdir(parents=True)
        file = run / "completions" / "completions_00001.parquet"
        pd.DataFrame(rows | {"accuracy": 1.0, "advantage": 0.5}).to_parquet(file)
        if run == hicra:
            highlight(["--input", str(file), "--output", str(made["highlight_tokens"])])
    write_view(made["view"], [read_run(hicra)])
    write_view(made["view_two"], [read_run(hicra), read_run(grpo)])
    write_view(made["view_words"], [read_run(folder / "words")])
    return made


def opened(browser, page, **look):
    browser.errors.clear()
    browser.requests.clear()
    browser.look(**look)
    browser.open(page.as_uri())
    browser.until(f"document.readyState === 'complete' && {'!!panes[0].rollout' if 'view' in page.stem else 'true'}")
    return browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser, pages, name, width, dark):
    axe = (AXE.fetch() / "axe.min.js").read_text()
    opened(browser, pages[name], width=width, dark=dark)
    states = ["", "document.getElementById('keys').showModal()"] if name == "view" else [""]
    for state in states:
        browser.evaluate(f"{axe}; {state}; 0")
        found = browser.evaluate(
            "axe.run().then(({violations}) => violations.map(({impact, id, nodes}) =>"
            " [impact, id, nodes.slice(0, 3).map(({html, failureSummary}) => html + failureSummary)]))"
        )
        assert found == []
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("file:", "about:", "data:"))] == []


# What is wider than its place, or than the window, outside of the boxes that are meant to scroll.
SPILT = """[...document.querySelectorAll("body *")].filter((e) => {
    if (e.closest(".scroll > *, svg") || !e.getClientRects().length) return false;
    const over = e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline";
    return (over && !e.matches(".scroll")) || e.getBoundingClientRect().right > innerWidth + 1;
}).map((e) => e.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("name", PAGES)
def test_nothing_but_boxes_scrolls_sideways(browser, pages, name):
    opened(browser, pages[name], width=400)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 400
    assert browser.evaluate(SPILT) == []


def test_a_wide_table_scrolls_by_keyboard_and_keeps_its_names(browser, pages):
    opened(browser, pages["campaign"], width=400)
    browser.press("Tab")
    focused = "document.activeElement"
    assert browser.evaluate(f"{focused}.matches('.scroll') && {focused}.scrollWidth > {focused}.clientWidth")
    name = "Math.round(document.querySelector('tbody th').getBoundingClientRect().left)"
    before = browser.evaluate(name)
    browser.press("ArrowRight")
    browser.until(f"{focused}.scrollLeft > 10")
    assert browser.evaluate(name) == before
    # What names the table is read without scrolling.
    inside = "(e.getBoundingClientRect().right <= e.closest('.scroll').getBoundingClientRect().right + 1)"
    assert browser.evaluate(f"[...document.querySelectorAll('caption span')].every((e) => {inside})")
    cells = "[...document.querySelectorAll('td:not(.says)')].every((e) => getComputedStyle(e).whiteSpace === 'nowrap')"
    assert browser.evaluate(cells)


@pytest.mark.parametrize("name", WITH_FIGURES)
def test_a_narrow_page_has_a_panel_a_row_in_letters_that_can_be_read(browser, pages, name):
    rows = "new Set([...document.querySelectorAll('.panels svg')].map((e) => e.getBoundingClientRect().top)).size"
    panels = "document.querySelectorAll('.panels svg').length"
    opened(browser, pages[name], width=400)
    assert browser.evaluate(rows) == browser.evaluate(panels) > 1
    smallest = "Math.min(...[...document.querySelectorAll('svg text')].map((e) => e.getBoundingClientRect().height))"
    assert browser.evaluate(smallest) >= 11
    opened(browser, pages[name], width=1280)
    assert browser.evaluate(rows) < browser.evaluate(panels)


# The least contrast that text of a figure has with the page, and whether one covers the page.
FIGURE = """(() => {
    const light = (color) => color.match(/[\\d.]+/g).slice(0, 3)
        .map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = light(getComputedStyle(document.body).backgroundColor);
    const contrast = (color) => (Math.max(ground, light(color)) + 0.05) / (Math.min(ground, light(color)) + 0.05);
    const fill = (e) => getComputedStyle(e).fill;
    return [
        Math.min(...[...document.querySelectorAll("svg text")].map((e) => contrast(fill(e)))),
        Math.min(...[...document.querySelectorAll(".legend span")].map((e) => contrast(getComputedStyle(e).color))),
        [...document.querySelectorAll("svg")].some((svg) => [...svg.querySelectorAll("path, rect")].some((e) =>
            fill(e) !== "none" && e.getBoundingClientRect().width >= 0.9 * svg.getBoundingClientRect().width)),
    ];
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", WITH_FIGURES)
def test_a_figure_is_in_the_colours_of_the_page(browser, pages, name, dark):
    opened(browser, pages[name], dark=dark)
    of_text, of_lines, covers = browser.evaluate(FIGURE)
    assert of_text >= 4.5 and of_lines >= 2 and not covers


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_it_is_light_and_keeps_its_marks_and_headings(browser, pages, name):
    opened(browser, pages[name], width=760, dark=True)
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", media="print", features=[scheme])
    style = "((e, name) => getComputedStyle(e).getPropertyValue(name))"
    ground = f"{style}(document.body, 'background-color')"
    every = "[...document.querySelectorAll('{}')].filter((e) => e.getClientRects().length).every((e) => {})"
    assert browser.evaluate(ground) == "rgb(255, 255, 255)"
    assert browser.evaluate(
        every.format("main h1, main h2, main h3, main h4", f"{style}(e, 'break-after') === 'avoid'")
    )
    assert browser.evaluate(every.format("mark, .t", f"{style}(e, 'print-color-adjust') === 'exact'"))
    assert browser.evaluate(every.format(".trace, svg, tr", f"{style}(e, 'break-inside') === 'avoid'"))
    if name in WITH_MARKS:
        assert browser.evaluate("document.querySelectorAll('mark, .t.p').length") > 0
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_figures_and_tables_say_what_they_are(browser, pages):
    opened(browser, pages["campaign"])
    figures = browser.evaluate("[...document.querySelectorAll('svg')].map((e) => [e.role, e.ariaLabel])")
    assert len(figures) > 1 and all(role == "img" for role, _ in figures)
    accuracy = next(says for _, says in figures if says.startswith("Validation accuracy"))
    assert "b (n = 5)" not in accuracy and "b: 0.1 at step 0, then 0.46 at step 10." in accuracy
    tables = "[...document.querySelectorAll('table')].every((e) => e.caption && e.tHead.querySelector('th[scope=col]')"
    assert browser.evaluate(f"{tables} && [...e.tBodies[0].rows].every((row) => row.cells[0].scope === 'row'))")


@pytest.mark.parametrize("name", ["report", "highlight", "highlight_tokens"])
def test_what_hovering_says_is_there_without_it(browser, pages, name):
    opened(browser, pages[name])
    of_marks = "[...e.querySelectorAll('mark')].map((mark) => mark.title)"
    blocks = browser.evaluate(f"[...document.querySelectorAll('.trace')].map((e) => [e.innerText, {of_marks}])")
    titles = [(text.partition("Grams: ")[2], title) for text, several in blocks for title in several if title]
    assert titles and all(gram in names for names, title in titles for gram in title.split(", "))


@pytest.mark.parametrize("name", ["report", "campaign"])
def test_it_says_what_it_comes_from(browser, pages, name):
    opened(browser, pages[name])
    text = browser.evaluate("document.querySelector('footer').textContent")
    for said in (
        "Made by hicra-trl 0.1.0",
        "2026-01-01T00:00:00",
        "abcd",
        "Trained with hicra-trl 0.1.0 of commit da770fe167e7 (modified), trl 1.16.0, transformers 5.17.0, Python 3",
        "hicra train --config recipe.yaml --seed 2",
    ):
        assert said in text
