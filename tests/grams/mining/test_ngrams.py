"""Words, breaks and n-grams of solutions against a slow reading of the definitions, character by character."""

import functools
import itertools
import random
import re
import time
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hicra_trl.grams.mining import ngrams
from hicra_trl.grams.mining.counting import Candidates, Counting, run_map, write_blocks
from hicra_trl.grams.mining.ngrams import Rules, blocks, count, locate, read_block


FUZZ = settings(deadline=None, derandomize=True, database=None, max_examples=250)
DEFAULT = Rules()
BREAKS = CLAUSE, SENTENCE, FORMULA = ("<clause>", "<sentence>", "<formula>")
LETTER, WORD, SPACE = ("letter", "word", "space")
# Chinese and Japanese letters, each of which is a word
UNSPACED = re.compile("[ぁ-ゖ\u3099\u309aゝ-ゟァ-ヺー-ヿ\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
UNDECIDED = "π゠・゛゜"  # what the definitions do not tell, or the tests below tell apart


# The oracle


def math_end(text, at):
    """Where the mathematics that opens at `at` ends, or `None`: one delimiter after the other, by hand."""
    for opening, closing in (("\\[", "\\]"), ("\\(", "\\)")):
        if text.startswith(opening, at) and closing in text[at + 2 :]:
            return text.index(closing, at + 2) + 2
    if text.startswith("$$", at) and "$" in text[at + 2 :]:
        end = text.index("$", at + 2)
        if text[end : end + 2] == "$$":
            return end + 2
    if text[at] == "$" and "$" in text[at + 1 :]:
        end = text.index("$", at + 1)
        inside, after = text[at + 1 : end], text[end + 1 : end + 2]
        if "\n" not in inside and inside == inside.strip() and not after.isnumeric():
            return end + 1
    if command := re.compile(r"\\[a-z]+").match(text, at):
        end = command.end()
        while argument := re.compile(r"\{[^{}]*\}").match(text, end):
            end = argument.end()
        return end
    return None


@functools.cache
def kind(char):
    """What a character is: a letter, a word of its own, white space, a break, or one of ' and -."""
    if char in "\x7f_" or unicodedata.category(char) == "Cs":
        return CLAUSE
    if char.isspace() or ord(char) < 32:
        return SENTENCE if char == "\n" else SPACE
    if char in "'’-.":
        return {"’": "'"}.get(char, char)
    if char in "?!。！？":
        return SENTENCE
    if char in "=+^$\\×÷·−±≤≥≠≈√∞∑∫→":
        return FORMULA
    if unicodedata.category(char) == "Cf":
        return LETTER
    if unicodedata.category(char)[0] in "LM":
        return WORD if UNSPACED.fullmatch(char) else LETTER
    return FORMULA if char.isnumeric() else CLAUSE


GLUE = "~"
TAG = re.compile(
    r"""</?[A-Za-z][A-Za-z0-9_:.-]*(?:\s+[A-Za-z0-9_:-]+=(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"']+))*\s*/?>"""
    r"|<([|｜])[^<>|\n]+?\1>|\[/?[A-Z][A-Z_]+\]",
    re.ASCII,
)


def pieces(solution):
    """Words, behind GLUE where no white space is before them, and `CLAUSE`, `SENTENCE` and `FORMULA`."""
    text, out, at = inside_words(TAG.sub(",", solution).lower()), [], 0
    while at < len(text):
        glue = GLUE if at and kind(text[at - 1]) in (LETTER, WORD, "'", "-") else ""
        end = math_end(text, at) if text[at] in "$\\" else None
        if end is not None:
            out, at = [*out, FORMULA], end
            continue
        here, after = kind(text[at]), kind(text[at + 1 : at + 2] or "x")
        if here == ".":
            out.append(SENTENCE if after == SPACE else CLAUSE)
        elif here == WORD:
            out.append(glue + text[at])
        elif here in (LETTER, "'", "-"):
            end = next((i for i in range(at, len(text)) if kind(text[i]) not in (LETTER, "'", "-")), len(text))
            word = text[at:end].replace("’", "'")
            out.append(glue + word if word[0] not in "'-" and word[-1] not in "'-" else CLAUSE)
            at = end - 1
        elif here != SPACE:
            out.append(here)
        at += 1
    return out


def joined(words):
    """An n-gram as text: no space between characters that are written without."""
    text = words[0].removeprefix(GLUE)
    for word in words[1:]:
        text += word[1:] if word.startswith(GLUE) else f" {word}"
    return text


def inside_words(text):
    """Format characters that are not between two letters as commas."""
    kept = []
    for is_format, run in itertools.groupby(text, lambda char: unicodedata.category(char) == "Cf"):
        kept.append((is_format, "".join(run)))
    edges = ["", *(run for _, run in kept), ""]
    for i, (is_format, run) in enumerate(kept):
        if is_format and not all(e and unicodedata.category(e)[0] in "LM" for e in (edges[i][-1:], edges[i + 2][:1])):
            kept[i] = (False, "," * len(run))
    return "".join(run for _, run in kept)


def occurrences(solution, rules=DEFAULT):
    """Every occurrence of an n-gram in a solution, with whether its sentence has a formula."""
    found = []
    for ends_sentence, sentence in itertools.groupby(pieces(solution), lambda piece: piece == SENTENCE):
        sentence = [] if ends_sentence else list(sentence)
        before = SENTENCE
        for is_break, run in itertools.groupby(sentence, lambda piece: piece in (CLAUSE, FORMULA)):
            run = list(run)
            if is_break:
                before = run[-1]
                continue
            spans = [run[i : i + n] for n in range(rules.min_n, rules.max_n + 1) for i in range(len(run) - n + 1)]
            if rules.short_clauses and len(run) < rules.min_n and before != FORMULA:
                spans.append(run)
            found += [(joined(span), FORMULA in sentence) for span in spans]
    return found


def frequencies(solutions, rules=DEFAULT):
    """{n-gram: (document frequency, term frequency, occurrences in a sentence with a formula)}."""
    document, term, formula = Counter(), Counter(), Counter()
    for solution in solutions:
        found = occurrences(solution, rules)
        document.update({phrase for phrase, _ in found})
        term.update(phrase for phrase, _ in found)
        formula.update(phrase for phrase, in_formula in found if in_formula)
    return {phrase: (document[phrase], term[phrase], formula[phrase]) for phrase in term}


# What the package finds


def located(solutions, rules=DEFAULT, least=1):
    """The same as `frequencies`, of one block; and the counts by hash, checked against it."""
    block = read_block(solutions)
    counts = count(block, rules)
    assert np.array_equal(counts.hashes, np.unique(counts.hashes))
    found = locate(block, rules, counts.hashes[counts.document >= least])
    solution, gram = found.pairs.T
    assert len({*map(tuple, found.pairs.tolist())}) == len(found.pairs)
    assert solution.size == 0 or solution.max() < len(solutions)
    document = np.bincount(gram, minlength=found.hashes.size)
    by_hash = dict(zip(counts.hashes.tolist(), counts.document.tolist()))
    # Only the shortest are counted by hash, and longer ones are found where all of theirs are frequent.
    keys = (found.hashes & ngrams._HASH_MASK).tolist()
    counted = {key: n for key, n in zip(keys, document.tolist()) if key in by_hash}
    assert counted == {key: n for key, n in by_hash.items() if n >= least}
    values = zip(document.tolist(), found.term.tolist(), found.formula.tolist())
    return {phrase: value for phrase, value in zip(found.phrases.tolist(), values, strict=True) if value[0] >= least}


def differences(got, expected):
    """The first few n-grams of which two counts do not say the same, as (got, expected)."""
    phrases = sorted(phrase for phrase in got.keys() | expected if got.get(phrase) != expected.get(phrase))
    return {phrase: (got.get(phrase), expected.get(phrase)) for phrase in phrases[:5]}


def grams_of(solution, rules=DEFAULT):
    return set(located([solution], rules))


WORDS = (
    "so",
    "we",
    "try",
    "wait",
    "let’s",
    "Let's",
    "double-check",
    "É",
    "ΣΟΣ",
    "因此",
    "我们",
    "まず",
    "データ",
    "x",
    "naïve",
    "cafe\u0301",
    "क्या",
    "İ",
    "ß",
)
MARKS = (
    *(" ", " ", " ", " ", " ", " ", "  ", ", ", ". ", "? ", "! ", "\n", "\n\n", ": ", " - ", " -", "--", "-", "—"),
    *("'", "’", " '", "“", "”", "…", "...", ".", "\t", "\r\n", "\u00a0", "\u2028", "\x85", "\u200b", "。", "（"),
    *("3", " 3 ", "3.14", "٣", "²", "½", "=", " + ", "^", "*", "/", "<", "_", "×", "→", "|", "#", "\u0301", "😀"),
    *("$", " $", "$ ", "$$", "$x$", " $x + y$ ", "$5", "\\", "\\[", "\\]", "\\(", "\\)", "{", "}", "\\frac{a}{b}"),
    *(
        "\\boxed{so we try}",
        "\\text{we}",
        "\\therefore",
        "$因此$",
        "\\frac{\\sqrt{x}}{y}",
        "\x00",
        "\x01",
        "\x02",
        "\x03",
    ),
    *("\x04", "\x1c", "\x7f", "\ud800", ""),
)
PIECE = st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from(MARKS), st.sampled_from(MARKS))
SOLUTION = st.one_of(
    st.lists(PIECE, max_size=30).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
    st.text(st.characters(exclude_categories=["Cn"], exclude_characters=UNDECIDED), max_size=30),
)
RULES = st.builds(
    lambda low, more, short: Rules(low, low + more, short), st.integers(1, 4), st.integers(0, 3), st.booleans()
)


@FUZZ
@given(solutions=st.lists(SOLUTION, min_size=1, max_size=4), rules=RULES)
@example(solutions=[""], rules=Rules())
@example(solutions=["", "so", ""], rules=Rules())
@example(solutions=["so we try\x04so we try"], rules=Rules())
@example(solutions=["3 \ud800so"], rules=Rules())
@example(solutions=["so", "we", "try"], rules=Rules(1, 5, False))
def test_frequencies_of_any_text_are_those_of_a_slow_count(solutions, rules):
    assert differences(located(solutions, rules), frequencies(solutions, rules)) == {}


@FUZZ
@given(solutions=st.lists(SOLUTION, min_size=1, max_size=4))
def test_words_and_breaks_of_any_text_are_those_of_a_slow_reading(solutions):
    def without_breaks(text):
        return [piece.removeprefix(GLUE) for piece in pieces(text) if piece not in BREAKS]

    block = read_block(solutions)
    words = [[] for _ in solutions]
    for token, code, solution in zip(block.tokens, block.codes.tolist(), block.solutions.tolist(), strict=True):
        if code >= 16:
            words[solution].append(token.decode())
    assert words == [without_breaks(solution) for solution in solutions]


@pytest.mark.parametrize("rules", [Rules(), Rules(2, 4, False)], ids=["default", "two to four words"])
def test_frequencies_of_traces_are_those_of_a_slow_count(rules, traces):
    solutions = traces[::4] if len(traces) > 100 else traces
    expected = frequencies(solutions, rules)
    assert len(expected) > 50 * len(solutions) and sum(formula for _, _, formula in expected.values()) > 20
    assert differences(located(solutions, rules), expected) == {}
    # Most n-grams are in one solution: those that are kept are as few as they should be.
    often = {phrase: values for phrase, values in expected.items() if values[0] >= 3}
    assert differences(located(solutions, rules, least=3), often) == {}


@pytest.mark.parametrize(
    ("solution", "grams"),
    [
        ("So we try this", {"so we try", "we try this", "so we try this"}),
        ("Wait, hold on", {"wait", "hold on"}),
        ("Let’s\n\ntry", {"let's", "try"}),
        ("LET'S   try\tit", {"let's try it"}),
        ("we double-check it", {"we double-check it"}),
        ("it costs $5 and $6 in all now", {"it costs", "in all now"}),
        ("it costs $5 and so we pay $6", {"it costs", "and so we", "so we pay", "and so we pay"}),
        ("so $x and y$ wait", {"so"}),
        ("we see $x$, hold on", {"we see", "hold on"}),
        ("3 apples", set()),
        ("3, apples", {"apples"}),
        ("3 red apples grow here", {"red apples grow", "apples grow here", "red apples grow here"}),
        ("apples 3", {"apples"}),
        ("so x = y", {"so x"}),
        ("wait\\therefore hold", {"wait"}),
        ("so \\frac{we try this}{now or never} wait", {"so"}),
        ("so \\[ we try\nthis \\] wait", {"so"}),
        ("so \\( we try this \\) wait", {"so"}),
        ("so $$ we\ntry this $$ wait", {"so"}),
        ("so\x01we\x02try\x03this\x04now", grams_of("so we try this now")),
        ("– we – hold on —", {"we", "hold on"}),
        ("'we' hold on", {"hold on"}),
        ("so．we", {"so", "we"}),
        ("因此，我们", {"因此", "我们"}),
        ("让我们试", {"让我们", "我们试", "让我们试"}),
        ("让 我们 try", {"让 我们", "我们 try", "让 我们 try"}),
        ("データ・まず", {"データ", "まず"}),
        ("so $因此我们$ wait", {"so"}),
        ("so $a$×$b$ wait", {"so"}),
        ("so.因此3", {"so", "因此"}),
        ("क्या हम यह", {"क्या हम यह"}),
        ("cafe\u0301 au lait", {"cafe\u0301 au lait"}),
        ("", set()),
        (" \n\t ", set()),
        ("...", set()),
    ],
)
def test_an_ngram_stays_within_its_clause(solution, grams):
    assert grams_of(solution) == set(frequencies([solution])) == grams


@pytest.mark.parametrize("mark", [*',;:.?!()[]{}"*/<>_|#~%&@`\n3=+^', "—", "…", "“", "。", "$x$", "\\so"])
def test_no_ngram_crosses_a_break(mark):
    assert grams_of(f"so we {mark} try this", Rules(3, 5, False)) == set()
    assert grams_of(f"so we{mark}try this", Rules(3, 5, False)) == set()


def test_no_ngram_crosses_from_one_solution_into_the_next():
    assert set(located(["so we", "try this", "now"], Rules(2, 5, False))) == {"so we", "try this"}


@pytest.mark.parametrize(
    ("solution", "in_formula"),
    [
        ("so we try this. It is 3.", False),
        ("so we try this? It is 3.", False),
        ("so we try this\nIt is 3.", False),
        ("It is 3! so we try this", False),
        ("so we try this.It is 3", True),
        ("so we try this, it is 3", True),
        ("It is 3.14 and, so we try this", True),
        ("It is 3. so we try this", False),
        ("we have $x$, so we try this", True),
        ("we have \\alpha, so we try this", True),
        ("we have x = y, so we try this", True),
        ("we have x, so we try this", False),
        ("we have ½, so we try this", True),
        ("it is 3.因此 so we try this", True),
    ],
)
def test_a_formula_counts_for_the_ngrams_of_its_sentence_alone(solution, in_formula):
    assert located([solution])["so we try"] == (1, 1, int(in_formula))


def test_formula_of_one_solution_does_not_count_for_the_next():
    assert located(["it is 3", "so we try"])["so we try"] == (1, 1, 0)
    assert located(["so we try", "3"])["so we try"] == (1, 1, 0)


@pytest.mark.parametrize("char", [*"×÷·−±≤≥≠≈√π∞∑∫→½²٣"])
def test_mathematical_characters_are_formulas(char):
    assert grams_of(f"{char} apples") == set()


def test_repetition_within_a_solution_counts_as_one_document():
    assert located(["wait, wait, wait", "wait", "hold on"])["wait"] == (2, 4, 0)


def test_blocks_hold_all_solutions_in_order_within_their_limits(monkeypatch):
    monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", 4)
    monkeypatch.setattr(ngrams, "BLOCK_CHARACTERS", 10)
    solutions = ["a"] * 9 + ["b" * 50] + ["c" * 6] * 2 + [""] * 5 + ["d" * 10, "e"]
    made = list(blocks(solutions))
    assert [text for block in made for text in block] == solutions
    assert all(len(block) <= 4 and (len(block) == 1 or sum(map(len, block)) <= 10) for block in made)
    assert [len(block) for block in made] == [4, 4, 1, 1, 1, 4, 3, 1]
    assert list(blocks([])) == []


def test_a_block_may_hold_as_many_solutions_as_it_says():
    solutions = [f"so we try {word}" for word in ("this", "that")] * (ngrams.BLOCK_SOLUTIONS // 2)
    (block,) = blocks(solutions)
    half = ngrams.BLOCK_SOLUTIONS // 2
    found = located(block)
    assert found["so we try"] == (2 * half, 2 * half, 0)
    assert found["so we try this"] == (half, half, 0)


@pytest.mark.parametrize("opening", ["\\[ ", "\\( ", "$$ ", "$a ", "\\a{", "'", "- ", ". ", "a"])
def test_reading_takes_linear_time(opening):
    """A model that repeats itself does not stop the count: what is quadratic takes about a second."""
    start = time.process_time()
    read_block([opening * 8_000])
    assert time.process_time() - start < 0.3


@pytest.fixture
def narrow_hashes(monkeypatch):
    """20 bits tell n-grams apart in counts, so that among tens of thousands of n-grams many share them."""
    monkeypatch.setattr(ngrams, "_HASH_MASK", np.uint64(0xFFFFF << 44))


def random_solutions(seed, solutions=150, words=40):
    rng = random.Random(seed)
    vocabulary = [f"w{a}{b}" for a in "abcdefgh" for b in "klmnopqr"]
    return [" ".join(rng.choices(vocabulary, k=words)) + ". Wait, 3" for _ in range(solutions)]


def test_counts_by_a_shared_hash_are_upper_bounds(narrow_hashes):
    solutions, rules = random_solutions(0), Rules(max_n=3)
    exact = frequencies(solutions, rules)
    block = read_block(solutions)
    counts = count(block, rules)
    assert len(exact) - 300 < counts.hashes.size < len(exact) - 10
    found = locate(block, rules, counts.hashes)
    by_hash = dict(zip(counts.hashes.tolist(), counts.document.tolist()))
    bounds = {
        phrase: by_hash[key]
        for phrase, key in zip(found.phrases.tolist(), (found.hashes & ngrams._HASH_MASK).tolist(), strict=True)
    }
    assert bounds.keys() == exact.keys()
    assert all(bounds[phrase] >= document for phrase, (document, _, _) in exact.items())
    assert sum(bounds[phrase] > document for phrase, (document, _, _) in exact.items()) > 20


@pytest.mark.parametrize("per_block", [2048, 40])
def test_candidates_are_exact_though_ngrams_share_a_hash(narrow_hashes, monkeypatch, tmp_path, per_block):
    monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", per_block)
    solutions = random_solutions(1)
    counting = Counting(tmp_path, write_blocks(solutions, tmp_path), Rules(), 2)
    for title, function in counting.maps.items():
        run_map(function, counting.names, title, 1)
    candidates = Candidates(counting)
    values = zip(candidates.document.tolist(), candidates.term.tolist(), candidates.formula.tolist())
    got = dict(zip(candidates.phrases, values, strict=True))
    expected = {phrase: values for phrase, values in frequencies(solutions).items() if values[0] >= 2}
    assert differences(got, expected) == {}
    # Without the exact pass there would be more: pairs of n-grams that one solution each has.
    assert counting.kept.size > len(expected) + 10


def test_digits_are_words_where_they_do_not_break_a_clause():
    rules = Rules(digits_break=False)
    block = read_block(["In step 12 we add $x$ and 3, so 1 = 1."], rules.digits_break)
    found = locate(block, rules, count(block, rules).hashes)
    assert {"in step 12", "step 12 we add"} <= set(found.phrases.tolist())
    assert not any("x" in phrase.split() or "=" in phrase for phrase in found.phrases.tolist())
    assert "so 1" in found.phrases.tolist() and "1" not in found.phrases.tolist()
