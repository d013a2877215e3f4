"""The viewer's page, in a real browser where it is one: what is shown, keys, clicks, search, links, hostile texts."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.analysis.viewer import read_run, write_view
from hicra_trl.cli.view import run as view
from hicra_trl.grams import StrategicGrams
from hicra_trl.training.runs.files import LEXICON_FOLDER
from hicra_trl.training.runs.token_record import record_file, write_record

from .synthetic_record import write_synthetic_record


PROMPTS = ["What is 3 + 4?", "Name a prime."]
HOSTILE = (
    "</script><script>document.title = 'run'</script><img src=http://example.com/x onerror=\"document.title='run'\">"
    "\u202e\u2066abc\u200f \x00 ]]> --> &lt; ${1} \ufeff é"
)


def rewritten(run, change):
    """The record of `run` with each row changed; `change` takes a row and returns it."""
    for step in TokenRecord.read(run).steps:
        rows = [change(row) for row in TokenRecord.read(run).rows(step)]
        for rank in {row.rank for row in rows}:
            write_record(record_file(run, step, rank), [row for row in rows if row.rank == rank])
    return run


def with_tokens(row, tokens, **changes):
    """The row with other tokens, as many as it has."""
    tokens = [*tokens, *[b"."] * (len(row.ids) - len(tokens))]
    ends = np.cumsum([len(token) for token in tokens]).astype(np.int32)
    return replace(row, completion=b"".join(tokens), ends=ends, ids=np.arange(len(tokens), dtype=np.int32), **changes)


@pytest.fixture
def runs(tmp_path):
    """Two runs with two problems a step; the first wrote the word `needle` once."""

    def asked(row):
        row = replace(row, prompt=PROMPTS[row.group])
        if (row.step, row.group, row.index) == (21, 1, 2) and row.header.alpha:
            # A character of three bytes by two tokens, and one that is not the model's own
            row = with_tokens(row, [b" a", b" nee", b"dle", b"\xe2\x82", b"\xac", b"\n"])
            fifth = np.arange(24) == 5
            missing = {name: np.where(fifth, np.nan, getattr(row, name)) for name in ("entropy", "logp")}
            row = replace(row, own=~fifth, **missing)
        return row

    return [
        rewritten(write_synthetic_record(tmp_path / name, alpha=alpha), asked)
        for name, alpha in (("hicra", 0.2), ("grpo", 0.0))
    ]


def opened(browser, page, place="", **look):
    browser.errors.clear()
    browser.requests.clear()
    browser.look(**look)
    browser.open(page.as_uri() + place)
    browser.until("document.documentElement?.dataset.usable")
    return browser


def at(browser, place, pane=0):
    """Waits until a pane shows a rollout, given as step, group, number in the group."""
    step, group, number = place
    browser.until(
        f"panes[{pane}].meta.textContent.startsWith('step {step}, group {group} ')"
        f" && panes[{pane}].place.textContent.startsWith('{number} of')"
    )


def test_numbers_classes_and_grams_are_those_of_the_record(browser, runs, tmp_path):
    page = write_view(tmp_path / "view.html", [read_run(runs[0])])
    opened(browser, page, "#a=11.1.3.1")
    at(browser, (11, 1, 4))
    rows = TokenRecord.read(runs[0]).rows(11)
    row = next(row for row in rows if (row.group, row.index) == (1, 3))
    least = np.quantile(np.concatenate([row.entropy for row in rows]).astype(np.float32), 0.8)
    kinds = browser.evaluate("[...document.querySelectorAll('.tokens .t')].map(t => [t.textContent, t.className])")
    texts = [row.completion[start:end].decode() for start, end in zip([0, *row.ends[:-1]], row.ends)]
    assert [text for text, _ in kinds] == texts
    assert [" p" in kind for _, kind in kinds] == row.planning.tolist()
    assert [" h" in kind for _, kind in kinds] == (row.entropy > least).tolist()
    for t in (int(np.flatnonzero(row.planning)[0]), len(texts) - 1):
        browser.hover(f".tokens .t:nth-child({t + 1})")
        says = browser.until(
            f"(s => s.startsWith('token {t + 1} of 24 ') && s)(document.querySelector('.says').textContent)"
        )
        assert f"id {row.ids[t]}" in says and f"entropy {row.entropy[t]:.3f} nats" in says
        assert f"log-probability −{-row.logp[t]:.3f}" in says
        assert f"credited {row.credited[t]:+.3f}".replace("-", "−") in says
        assert ("gram " + row.header.grams[row.gram[t]] in says) if row.gram[t] >= 0 else "gram" not in says
    assert browser.errors == []


def test_keys_and_clicks_lead_through_the_page(browser, runs, tmp_path):
    page = write_view(tmp_path / "view.html", [read_run(runs[0])])
    opened(browser, page)
    at(browser, (1, 0, 1))
    for key, place in [("j", (1, 0, 2)), ("n", (1, 0, 3)), ("p", (1, 0, 2)), ("k", (1, 0, 1)), ("k", (1, 0, 1))]:
        browser.press(key)
        at(browser, place)
    browser.press("J", shift=True)
    at(browser, (1, 1, 1))
    browser.click(".pane nav button:nth-of-type(1)")
    at(browser, (1, 1, 4))
    browser.click(".group:nth-child(3) .chip:nth-child(2)")
    at(browser, (11, 0, 2))
    # Arrows in the list move in the list, elsewhere from token to token.
    browser.press("ArrowRight")
    at(browser, (11, 0, 3))
    assert browser.evaluate("document.activeElement.ariaCurrent") == "true"
    browser.click(".tokens .t:nth-child(7)")
    browser.press("ArrowRight")
    focused = "document.activeElement.className.startsWith('t') && document.activeElement.number"
    assert browser.evaluate(focused) == 7
    row = next(r for r in TokenRecord.read(runs[0]).rows(11) if (r.group, r.index) == (0, 2))
    browser.press("ArrowRight", shift=True)
    assert browser.evaluate(focused) == np.flatnonzero(row.planning & (np.arange(24) > 7))[0]
    browser.press("End")
    assert browser.evaluate(focused) == 23
    browser.look(width=420)
    browser.press("Home")
    browser.press("ArrowDown")
    below = browser.evaluate("[document.activeElement, document.querySelector('.tokens .t')].map(t => t.offsetTop)")
    assert below[0] > below[1]
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("?")
    assert browser.evaluate("document.getElementById('keys').open")
    browser.press("j")
    browser.press("Escape")
    assert not browser.evaluate("document.getElementById('keys').open")
    at(browser, (11, 0, 3))
    assert browser.errors == []


def test_strips_have_a_cell_for_each_token(browser, runs, tmp_path):
    page = write_view(tmp_path / "view.html", [read_run(write_synthetic_record(tmp_path / "long", tokens=900))])
    opened(browser, page)
    cell = "(p => p.layout())(panes[0])"
    window = browser.evaluate(cell)
    assert window["cell"] == 5 and window["count"] < window["n"] == 900
    width, height = (
        browser.evaluate(f"document.querySelector('canvas').client{side}") for side in ("Width", "Height")
    )
    browser.click("canvas", at=(12.5 / width, 0.3))
    assert browser.evaluate("panes[0].token") == 2
    # The last strip shows all tokens.
    browser.click("canvas", at=(0.5, 1 - 4 / height))
    assert abs(browser.evaluate("panes[0].token") - 450) <= 1
    assert browser.evaluate("panes[0].first + panes[0].layout().count > 450 && panes[0].first < 450")
    assert browser.evaluate(
        "(r => r.top > 0 && r.bottom < innerHeight)(panes[0].tokens.children[450].getBoundingClientRect())"
    )
    assert browser.errors == []


def test_search_finds_across_tokens_and_marks_what_it_found(browser, runs, tmp_path):
    opened(browser, write_view(tmp_path / "view.html", [read_run(runs[0])]))
    browser.press("/")
    browser.write("A needle€")
    browser.until("document.getElementById('found').textContent === '1 rollout in 1 group'")
    browser.press("Enter")
    at(browser, (21, 1, 3))
    assert browser.evaluate("[...CSS.highlights.get('found')].map(String)") == [" a needle€"[1:]]
    assert browser.evaluate("document.querySelectorAll('.chip.miss').length") == 3
    browser.press("Escape")
    assert browser.evaluate("document.activeElement.className").startswith("t")
    # What a token wrote of a character is shown where the character ends.
    tokens = "[...document.querySelectorAll('.tokens .t')].slice(3, 6).map(t => t.textContent + t.className)"
    (_, half), whole, (end, line) = (token.split("t", 1) for token in browser.evaluate(tokens))
    assert "part" in half and whole[0] == "€" and end == "\n" and {"o", "nl"} <= set(line.split())
    browser.press("/")
    browser.write("prime")
    browser.until("document.getElementById('found').textContent === '12 rollouts in 3 groups'")
    browser.press("/")
    browser.write("nowhere")
    browser.until("document.getElementById('found').textContent.startsWith('Nothing')")
    assert browser.errors == []


def test_filters_order_and_the_address_that_remembers_them(browser, runs, tmp_path):
    page = write_view(tmp_path / "view.html", [read_run(run) for run in runs])
    opened(browser, page, "#a=21.1.2.4&b=1.1.0.2&step=21&order=highest+reward&reward=1&query=prime")
    at(browser, (21, 1, 3))
    at(browser, (1, 1, 1), pane=1)
    browser.until("document.getElementById('found').textContent === '2 rollouts in 1 group'")
    assert browser.evaluate("[panes[0].token, panes[1].token, document.getElementById('query').value]") == [
        3,
        1,
        "prime",
    ]
    browser.press("j")
    browser.until("location.hash.startsWith('#a=21.1.')")
    for place in ("#a=7.0.0.1", "#a=x", "#step=9&reward=z&order=q&a=1.0.0.99999", "#%"):
        opened(browser, page, place)
        at(browser, (1, 0, 1))
        browser.until("document.getElementById('found').textContent === '24 rollouts in 6 groups'")
    assert browser.errors == []


def test_two_runs_are_side_by_side_on_the_same_problem(browser, runs, tmp_path):
    rewritten(runs[1], lambda row: replace(row, prompt="Only here" if row.group == 0 else row.prompt))
    opened(browser, write_view(tmp_path / "view.html", [read_run(run) for run in runs]))
    at(browser, (1, 0, 1))
    assert "has no rollout of this problem" in browser.evaluate("panes[1].element.innerText")
    browser.click("#both")
    browser.until("document.getElementById('found').textContent === '12 rollouts in 3 groups'")
    browser.click(".group:nth-child(2) .chip:nth-child(3)")
    for pane in (0, 1):
        at(browser, (11, 1, 3), pane=pane)
    browser.press("x")
    browser.press("n")
    at(browser, (11, 1, 4), pane=1)
    at(browser, (11, 1, 3))
    # The list of the other run
    browser.evaluate("(s => { s.value = 1; s.dispatchEvent(new Event('change')) })(document.getElementById('run'))")
    browser.click("#both")
    browser.until("document.getElementById('found').textContent === '24 rollouts in 6 groups'")
    assert "Only here" in browser.evaluate("document.getElementById('list').textContent")
    assert browser.errors == []


def test_nothing_that_others_wrote_runs_or_is_fetched(browser, tmp_path):
    run = write_synthetic_record(tmp_path / HOSTILE.replace("/", "").replace("\x00", ""))

    def spoilt(row):
        header = replace(row.header, reward_names=[HOSTILE], grams=[HOSTILE, HOSTILE], lexicon=HOSTILE, credit=HOSTILE)
        text = HOSTILE.encode() + "\ud800".encode("utf-8", "surrogatepass") + b"\xff"
        return with_tokens(replace(row, header=header, prompt=HOSTILE), [text[:30], text[30:]])

    rewritten(run, spoilt)
    alarm = {"step": 3, "name": "x", "value": 1, "threshold": 1, "says": HOSTILE, "why": HOSTILE, "remedy": HOSTILE}
    (run / "health.jsonl").write_text(json.dumps(alarm) + "\n")
    page = write_view(tmp_path / "view.html", [read_run(run)])
    opened(browser, page, "#query=%3Cscript%3E&a=%3Cimg%3E&step=%3C/script%3E")
    browser.until("document.getElementById('found').textContent === '24 rollouts in 6 groups'")
    for t in (1, 2, 3):
        browser.hover(f".tokens .t:nth-child({t})")
    text = browser.evaluate("document.body.innerText")
    assert text.count("</script><script>") >= 8
    for hidden in "\x00\u202e\u2066\u200f\ufeff":
        assert hidden not in text
    for name in ("␀", "⟨202E⟩", "⟨2066⟩", "⟨200F⟩", "⟨FEFF⟩"):
        assert name in text
    assert browser.evaluate("document.title").startswith("Rollouts: ")
    assert browser.evaluate("[document.images.length, document.scripts.length]") == [0, 3 + 24]
    assert [url for url in browser.requests if not url.startswith(("file:", "about:", "data:"))] == []
    assert browser.errors == []
    # What the policy is for: a script that came in after all does not run, and nothing is fetched.
    browser.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}));"
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}))"
    )
    browser.until("document.images.length === 1")
    assert browser.evaluate("document.title").startswith("Rollouts: ")
    assert "Content Security Policy" in " ".join(browser.errors)


# Contrast of an element's text with the worst of the grounds behind it, as WCAG computes it
CONTRAST = """
    const light = (color) => color.match(/[\\d.]+/g).slice(0, 3)
        .map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const grounds = (element) => {
        const { backgroundImage, backgroundColor } = getComputedStyle(element);
        const found = (backgroundImage + backgroundColor).match(/rgba?\\([^)]*\\)/g).filter((c) => !/, 0\\)$/.test(c));
        return found.length ? found.map(light) : grounds(element.parentElement);
    };
    const contrast = (element) => Math.min(...grounds(element).map((ground) => {
        const ink = light(getComputedStyle(element).color);
        return (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
    }));
    const worst = (selector) => [...document.querySelectorAll(selector)]
        .map((element) => [contrast(element), element.className]).sort((a, b) => a[0] - b[0])[0];
"""
TEXTS = "#legend span, .chip, .meta, .says b, .facts, .strips li, #found, .where span, .asked, label, summary, .t"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(browser, runs, tmp_path, width, dark):
    opened(browser, write_view(tmp_path / "view.html", [read_run(run) for run in runs]), width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for part in ("pane", "group"):
        assert browser.evaluate(
            f"[...document.querySelectorAll('.{part}')].every(e => e.scrollWidth <= e.clientWidth)"
        )
    worst = browser.evaluate(f"(() => {{ {CONTRAST} return worst('{TEXTS}') }})()")
    assert worst[0] >= 4.5, worst
    # Classes are told apart without colour too.
    line = "(s => s.textDecorationLine + s.textDecorationStyle + s.borderBottomStyle)(getComputedStyle(e))"
    assert len(set(browser.evaluate(f"[...document.querySelectorAll('#legend .t')].map(e => {line})"))) == 5
    assert browser.errors == []


def test_many_long_rollouts_are_usable_at_once(browser, tmp_path):
    run = write_synthetic_record(tmp_path, steps=range(1, 6), groups=4, group_size=8, tokens=4000)
    page = write_view(tmp_path / "view.html", [read_run(run)])
    opened(browser, page)
    assert browser.evaluate("Number(document.documentElement.dataset.usable)") < 5000
    assert browser.evaluate("document.querySelectorAll('.tokens .t').length") == 4000
    browser.press("j")
    at(browser, (1, 0, 2))


def test_completions_alone_are_shown_by_words(browser, tmp_path):
    texts = ["So let's try 3.\nBut wait, 中文", "", "   ", "x" * 70_000]
    rows = {"step": [5] * 4, "prompt": [[{"role": "user", "content": "Why?"}]] * 4, "completion": texts}
    rows |= {"accuracy": [1.0, None, 0.0, 0.5], "advantage": [0.5, None, 0.0, -0.5], "answer": ["a"] * 4}
    (tmp_path / "completions").mkdir()
    pd.DataFrame(rows).to_parquet(tmp_path / "completions" / "completions_00005.parquet")
    StrategicGrams(["let's try", "but wait"]).save(tmp_path / LEXICON_FOLDER)
    run = read_run(tmp_path)
    assert any("No token record" in note for note in run.notes) and run.reward_names == ["accuracy"]
    opened(browser, write_view(tmp_path / "view.html", [run]))
    words = browser.evaluate("[...document.querySelectorAll('.tokens .t')].map(t => [t.textContent, t.className])")
    assert "".join(text for text, _ in words) == texts[0]
    assert [text.strip() for text, kind in words if " p" in kind] == ["let's", "try", "But", "wait"]
    assert "No token record" in browser.evaluate("document.querySelector('.note').textContent")
    for number, length in ((2, 0), (3, 1), (4, 1)):
        browser.press("n")
        at(browser, (5, 0, number))
        assert browser.evaluate("document.querySelectorAll('.tokens .t').length") == length
    assert browser.errors == []


# ---- without a browser


def test_what_is_shown_is_spread_over_steps_and_said(tmp_path):
    run = write_synthetic_record(tmp_path, steps=range(1, 41), groups=2)
    shown = read_run(run, limit=20)
    places = {(rollout.step, rollout.group) for rollout in shown.rollouts}
    assert len(places) == 5 and {(1, 0), (40, 0)} <= places
    assert any("5 of 40 steps" in note for note in shown.notes) and any(
        "1 of 2 groups" in note for note in shown.notes
    )
    everything = read_run(run)
    assert len(list(everything.rollouts)) == 320 and everything.notes == []
    assert {rollout.step for rollout in read_run(run, steps=[3, 40]).rollouts} == {3, 40}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected one run, two runs, or --demo, got 0 runs"),
        (["a", "b", "c"], "got 3 runs"),
        (["nowhere"], "nothing to view in nowhere: expected token_records or completions"),
        (["run", "--steps", "2"], "nothing of step 2: expected one of 1, 11, 21"),
        (["run", "--limit", "0"], "limit must be at least 1"),
        (["run", "--output", "mine.html"], "mine.html is there already"),
        (["sick"], "cannot read sick/health.jsonl"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    for name in ("run", "sick"):
        write_synthetic_record(tmp_path / name)
    (tmp_path / "sick" / "health.jsonl").write_text("{\n")
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    with pytest.raises(SystemExit) as exit:
        view(argv or ["--limit=5"])
    [line] = capsys.readouterr().err.strip().splitlines()
    assert exit.value.code == 2 and message in line
    assert not (tmp_path / "run" / "view.html").exists()


def test_the_command_writes_a_page_of_its_own_and_replaces_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_synthetic_record(tmp_path / "run")
    for _ in range(2):
        assert view(["run"]) == 0
    html = (tmp_path / "run" / "view.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and not re.search("https?:", html)
    assert "MB: run/view.html" in capsys.readouterr().out


def test_the_demo_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert view(["--demo"]) == 0
    assert (tmp_path / "hicra-demo.html").stat().st_size < 500_000
