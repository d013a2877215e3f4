"""PlanningTokenLabeler against a regular-expression oracle, and against texts that were marked by hand."""

import json
import pickle
import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_mistral_common import MistralCommonBackend

from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams
from hicra_trl.grams.token_bytes import token_bytes

from .conftest import TRICKY
from .oracle import Oracle, to_bytes
from .tokenizers import ADDED, BYTE_LEVEL, tokenizer_of


FUZZ = settings(deadline=None, derandomize=True, database=None, max_examples=120)
BEYOND = (-1, -100, -(2**63), 10**5, 2**31, 2**32 + 300, 2**62)  # ids that no token has

# Planning characters in brackets; the grams are conftest.TRICKY. U+DCxx is the byte xx where it is no UTF-8
MARKED = (
    "also [so] soap, isolated",
    "[so].[so] [(so)] [(so)]-[so]",
    "soé éso [so]_ a_so so2 2so ²so",
    "中[so so]中 [因此so]我们 𝐬so so𝐬",
    "so\u0301 e\u0301so \u200b[so\u200b \ufeffso] 😀[so]😀 ❤\ufe0f[so] al\u200bso",
    "ſo \u212aso [SO], [sO] [o\u212a] [OK]",
    "[Let’s] [LET'S] [let‘s] [let\u02bcs] [let′s] [let`s] [let´s] [let＇s] let'st x['s] x[’S]",
    "[Let’s \r\n\t try] [let’\u200bs] [l\u00adet\u200c’s]",
    "[let\u00a0me] [let\u3000me] [let\x1cme] [let\x85\u2028 me] let\u200bme [let\u2060 me]",
    "[let me try] let [let me] let lets [so so] sox",
    "\\therefore [therefore] \\\\therefore \\ [therefore] \\so\\let['s]\\let me",
    "\\\n[therefore]\\ $\\therefore$[therefore]",
    "[wait, but  why?] [wait], [but] whys [hmm,wait]",
    "#[## step] x[## step] \\## step \\#[## step]",
    "\n\n [so].\n\n \t[so \n so] \n",
    "[a b a b a] [a b a] x",
    "[....] .. [...]x",
    "[Итак], [ДАВАЙТЕ  ПРОВЕРИМ]: итакой, [ΆΡΑ] άραγε [Ας ΔΟΎΜΕ]",
    "所以[因此]，[因此]，[因此]我们 [因此\u3000我们]。",
    "\udcc3[so] \udca9[so]\udcc3 \udced\udca0\udc80[so] \udcf4\udc90\udc80\udc80[so] \udce4\udcb8éso [so]\udcff",
    "[_so]_ _[_so]__, [_so] so_far_ x__so a_so_ _so2 *[_so]_*, _[wait]_ __[let me]__ let_me_",
    "[ΠΩΣ] [πωσ] [πως] [café] [cafe\u0301] [CAFÉ] cafe caféé x ≠ [x =] x =\u0338",
    "तोड़ना [तो] अबे [अब], แต่ง [แต่] เรา[ดังนั้น]จึง [가] 각 \u1100\u1161\u11a8 [\u1100\u1161]",
    "ｱ[ｶﾅ]ｱ 二[〇]二 [İşte] [i\u0307şte] işte [STRAẞE] [straße] [ⱥx] [ȺX]",
    "let\udcc0\udca0me let\udce2\udc80s [let's]\udce2\udc80 éso\udcc3 中\udcc3[so] \udcc3éso",
)
WORDS = (
    *StrategicGrams.paper(),
    *TRICKY * 5,
    *ADDED * 5,
    *("also", "soap", "soé", "éso", "ſo", "o\u212a", "İ", "2", "x", "\\therefore", "\\so", "\\frac{so}{b}", "$"),
    *(
        "_so_",
        "wa\u00adit",
        "cafe\u0301",
        "café",
        "Πως",
        "ΠΩΣ",
        "तोड़",
        "अबे",
        "แต่",
        "ง",
        "เ",
        "า",
        "ดังนั้น",
        "가",
        "ʼ",
        "`",
    ),
    *("\u0323", "\u0307", "\u11a8", "\u200d", "\u0345", "İşte", "straße", "ⱥx", "≠", "x =", "ｶﾅ", "〇", "अब", "अब़"),
    *("##", "中", "\u0301", "é", "ñ", "𝐬", "😀", "👩\u200d🔬", "_", "▁", "\\", "(", "’", ""),
    *("\udcc3", "\udca9", "\udce2\udc80", "\udced\udca0\udc80", "\udcf0\udc9f", "\udcff"),
)
SPACES = ("  ", "\n", "\n\n", " \t\r\n", "\u00a0", "\u3000", "\x1c", "\x1f ", "\x85", "\u2028", "\u200b", "")
STYLES = (str, str, str.upper, str.title, str.capitalize, str.swapcase, lambda word: word.replace("'", "’"))
PIECE = st.tuples(
    st.sampled_from(WORDS),
    st.sampled_from(STYLES),
    st.sampled_from((" ",) * 12 + SPACES),
    st.sampled_from((" ",) * 20 + SPACES + (".", ", ", "\\", "-", "'", "é", "s")),
)
TEXT = st.lists(PIECE, max_size=12).map(
    lambda pieces: "".join(style(word).replace(" ", space) + glue for word, style, space, glue in pieces)
)


def marked_by(labels, text):
    """`text`, spelled one token per byte, with brackets around the planning tokens."""
    data, out = to_bytes(text), b""
    for at, planning in enumerate(labels):
        before = at > 0 and labels[at - 1]
        out += b"[" * (planning and not before) + b"]" * (before and not planning) + data[at : at + 1]
    return (out + b"]" * bool(labels and labels[-1])).decode("utf-8", "surrogateescape")


def plain(marked):
    return re.sub(r"[\[\]]", "", marked)


def tokenise(case, text, rng):
    """The ids of `text` as the tokenizer makes them, or cut at random; then a few of them changed."""
    encodable = re.sub("[\udc80-\udcff]", "", text)
    ids = case.encode(encodable) if rng.random() < 0.5 else case.segment(to_bytes(text), rng)
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(ids) + 1)
        token = ids[at : at + 1]
        as_bytes = case.segment(case.bytes_of[token[0]], rng) if token and token[0] in case.bytes_of else []
        anything = rng.choice(list(case.bytes_of))
        ids[at : at + 1] = rng.choice(
            [as_bytes, as_bytes, [], [rng.choice((*case.special, *BEYOND)), *token], [anything, *token]]
        )
    return ids


def assert_equals_oracle(case, rows, masks=None):
    """Both lexicons, all rows in one batch, padded on the right; both results, token by token."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [case.pad] * (width - len(row)) for row in rows], dtype=torch.int64)
    mask = None
    if masks is not None:
        mask = torch.tensor([row + [0] * (width - len(row)) for row in masks], dtype=torch.int64)
    for lexicon, labeler in case.labelers.items():
        labels = labeler(ids, mask)
        assert labels.shape == ids.shape and labels.dtype == torch.bool
        occurrences = labeler.occurrences(ids, mask)
        for row, got in enumerate(labels.tolist()):
            inputs = (ids[row].tolist(), None if mask is None else mask[row].tolist())
            expected = case.oracles[lexicon].mask(*inputs)
            assert planning_tokens(case, inputs[0], got) == planning_tokens(case, inputs[0], expected)
            assert [tuple(o) for o in occurrences[row]] == case.oracles[lexicon].occurrences(*inputs)


def planning_tokens(case, ids, labels):
    return [(t, case.bytes_of.get(i)) for t, (i, planning) in enumerate(zip(ids, labels)) if planning]


# The oracle itself


def test_oracle_reads_the_text_that_was_encoded(case):
    for text in ("Let’s  try so\n\nalso 😀 因此\u3000x", "<think> naïve \x85\x1f é\u0301 voilé é let’s \\so"):
        read, owners = case.oracles["tricky"].read(case.encode(text))
        assert read.replace(" ", "") == text.replace(" ", "")  # some tokenizers put a space before the text
        assert sorted({t for owner in owners for t in owner}) == list(range(len(case.encode(text))))


@pytest.mark.parametrize("marked", MARKED)
def test_oracle_marks_what_a_person_marks(case, marked):
    labels = case.oracles["tricky"].mask(case.spell(plain(marked)))
    assert marked_by(labels, plain(marked)) == marked


def test_oracle_chooses_leftmost_then_longest(case):
    occurrences = case.oracles["tricky"].occurrences(case.spell("Wait, but why wait, but whys a b a b a"))
    expected = [("wait, but why", 0, 13), ("wait", 14, 18), ("but", 20, 23), ("a b a", 29, 34)]
    assert occurrences == expected


def test_oracle_lets_both_halves_of_a_character_own_it(case):
    oracle = Oracle(case.tokenizer, case.byte_level, ["中文"])
    assert oracle.mask(case.spell(" 中文 ")) == [False] + [True] * 6 + [False]


# The labeler


@pytest.mark.parametrize("marked", MARKED)
def test_planning_tokens_are_what_a_person_marks(case, marked):
    labels = case.label(case.spell(plain(marked)))
    assert marked_by(labels, plain(marked)) == marked


@FUZZ
@given(texts=st.lists(TEXT, min_size=1, max_size=3), seed=st.integers(0, 2**16))
def test_any_tokenisation_of_any_text_agrees_with_the_oracle(case, texts, seed):
    rng = random.Random(seed)
    rows = [tokenise(case, text, rng) for text in texts]
    holes = rng.choice([0, 0, 0.05, 0.3])
    assert_equals_oracle(case, rows, [[int(rng.random() >= holes) for _ in row] for row in rows])


@FUZZ
@given(seed=st.integers(0, 2**32))
def test_any_ids_agree_with_the_oracle(case, seed):
    rng = random.Random(seed)
    part = re.compile(rb"(?i)\W*(l?et|me|so|s|t|try|wait|but)\W*")
    near_grams = [i for i, data in case.bytes_of.items() if part.fullmatch(data)]
    pools = [list(case.tokenizer.get_vocab().values()), near_grams, near_grams, near_grams, BEYOND, range(-3, 900)]
    weights = [3, 8, 8, 8, 1, 1]
    rows = [[rng.choice(pool) for pool in rng.choices(pools, weights, k=rng.randrange(40))] for _ in range(3)]
    assert_equals_oracle(case, rows)


@pytest.mark.parametrize("case", ["qwen", "gemma"], indirect=True)
def test_traces_agree_with_the_oracle(case, traces):
    rows = [case.encode(trace) for trace in traces]
    labels = [case.label(row, "paper") for row in rows]
    expected = [case.oracles["paper"].mask(row) for row in rows]
    assert sum(map(sum, expected)) > 10 * len(rows)
    assert sum(got != want for row in zip(labels, expected) for got, want in zip(*row)) == 0
    assert [case.occurrences(row, "paper") for row in rows] == [case.oracles["paper"].occurrences(row) for row in rows]


def test_mid_sentence_gram_with_a_leading_space_matches(case):
    ids = case.encode("x = 2, so x is 2. Therefore, let me try")
    planning = b"".join(case.bytes_of[ids[t]] for t, yes in enumerate(case.label(ids)) if yes).decode()
    assert [planning.count(gram) for gram in ("so", "Therefore", "let me try")] == [1, 1, 1]


@pytest.mark.parametrize("text", ["Let me", "LET ME", "lET mE", "Let\nMe"])
def test_capitalised_gram_matches(case, text):
    assert all(case.label(case.spell(text)))
    assert case.occurrences(case.spell(text)) == [("let me", 0, 6)]
    assert [gram for gram, _, _ in case.occurrences(case.encode(text))] == ["let me"]


@pytest.mark.parametrize("text", ["also", "soap", "isolated", "Also, soap is isolated"])
def test_gram_inside_a_word_does_not_match(case, text):
    assert not any(case.label(case.encode(text)))


def test_straight_apostrophe_of_a_gram_matches_a_curly_one_and_the_reverse(case):
    for gram in ("let's", "Let’s"):
        labeler = PlanningTokenLabeler(case.tokenizer, StrategicGrams([gram]))
        for text in ("let's", "Let’s"):
            assert labeler(torch.tensor([case.spell(text)])).all()


def test_masked_token_inside_a_gram_breaks_it(case):
    ids = case.spell("let me")
    assert all(case.label(ids, mask=[1] * 6))
    for hole in range(6):
        assert not any(case.label(ids, mask=[int(t != hole) for t in range(6)]))


def test_mask_may_be_of_any_integer_dtype_or_bool(case):
    ids = torch.tensor([case.spell("so let me")])
    mask = torch.tensor([[1] * 6 + [0] * 3])
    labeler = case.labelers["tricky"]
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool):
        assert labeler(ids, mask.to(dtype)).tolist() == [[True] * 2 + [False] * 7]
        assert [tuple(o) for o in labeler.occurrences(ids, mask.to(dtype))[0]] == [("so", 0, 2)]


def test_special_masked_and_unknown_tokens_separate_words(case):
    # al|so: what separates is no part of a word; let |me: nothing matches across it
    al, so = case.spell("al"), case.spell("so")
    let, me = case.spell("let "), case.spell("me")
    hole = next(i for i in range(10**4) if i not in case.tokenizer.get_vocab().values())
    for separator in (*case.special, hole, *BEYOND):
        assert case.label([*al, separator, *so]) == [False] * 3 + [True] * 2
        assert not any(case.label([*let, separator, *me]))
        assert case.label([separator]) == [False]
    assert case.label([*al, *so, *so], mask=[1, 1, 0, 0, 1, 1]) == [False] * 4 + [True] * 2
    assert case.label([*case.spell("\\"), case.pad, *so]) == [False] * 2 + [True] * 2


def test_bytes_on_the_two_sides_of_a_separator_make_no_character(case):
    ids = case.spell("éso")
    assert not any(case.label(ids))
    assert case.label([ids[0], case.pad, *ids[1:]]) == [False] * 3 + [True] * 2
    assert case.label(ids, mask=[0, 1, 1, 1]) == [False] * 2 + [True] * 2


def test_added_tokens_that_are_not_special_are_their_own_text(case):
    added = {token: case.tokenizer.convert_tokens_to_ids(token) for token in ADDED}
    assert case.occurrences([added["wait,so"]]) == [("wait", 0, 1), ("so", 0, 1)]
    assert not any(case.label([added["voilé"], *case.spell("so")]))
    assert all(case.label([added["é let’s "], *case.spell("try")]))
    assert case.label([added["<think>"], *case.spell("so"), added["<think>"]]) == [False, True, True, False]


def test_added_run_of_metaspaces_is_white_space():
    """Gemma has "▁▁" among its added tokens, not special; its decoder makes two spaces of it."""
    backend = Tokenizer.from_str(tokenizer_of("gemma").backend_tokenizer.to_str())
    state = json.loads(backend.to_str())
    state["model"]["vocab"]["▁▁▁▁▁"] = run = 2000
    backend = Tokenizer.from_str(json.dumps(state))
    backend.add_tokens([AddedToken("▁▁▁▁▁", normalized=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")
    vocabulary = tokenizer.get_vocab()
    assert tokenizer.added_tokens_decoder[run].content == "▁▁▁▁▁"
    ids = [*(vocabulary[char] for char in "let"), run, *(vocabulary[char] for char in "me")]
    assert PlanningTokenLabeler(tokenizer, StrategicGrams(["let me"]))(torch.tensor([ids])).all()


def test_token_that_ends_a_word_and_starts_a_gram_is_planning(case):
    def token(text):
        return case.ids_of[text.encode()][0]

    assert case.label([token("x so"), *case.spell(" x")]) == [True, False, False]
    assert case.label([token(".So"), token("s. Let"), *case.spell(" me")]) == [False, True, True, True, True]
    assert case.label([token("also"), token("also")]) == [False, False]
    assert case.label([token("so"), token("t me")]) == [False, False]
    assert case.label([*case.spell("le"), token("t me")]) == [True, True, True]
    assert case.occurrences([token("so so")]) == [("so so", 0, 1)]


def test_token_without_bytes_is_not_planning(case):
    if b"" not in case.ids_of:
        pytest.skip("every token of this tokenizer has bytes")
    empty = case.ids_of[b""][0]
    ids = [empty, *case.spell("let"), empty, *case.spell(" me"), empty]
    assert case.label(ids) == [False, *[True] * 3, False, *[True] * 3, False]
    assert case.occurrences(ids) == [("let me", 1, 8)]
    assert not any(case.label([*case.spell("al"), empty, *case.spell("so")]))


def test_latex_command_is_not_planning_but_the_word_is(case):
    for text, grams in (("\\therefore x", []), ("therefore x", ["therefore"]), ("\\so so", ["so"])):
        assert [gram for gram, _, _ in case.occurrences(case.encode(text))] == grams


def test_white_space_inside_an_occurrence_is_planning_and_around_it_is_not(case):
    assert case.label(case.spell(" \n let \u3000\n me \n")) == [False] * 3 + [True] * 11 + [False] * 2


def test_mask_is_the_union_of_overlapping_grams_and_occurrences_do_not_overlap(case):
    ids = case.spell("let me try a b a b a")
    assert [t for t, planning in enumerate(case.label(ids)) if not planning] == [10]
    assert case.occurrences(ids) == [("let me", 0, 6), ("a b a", 11, 16)]
    # "me try something" is not chosen, so it does not hide "try something"
    ids = case.spell("let me try something")
    assert all(case.label(ids))
    assert case.occurrences(ids) == [("let me", 0, 6), ("try something", 7, 20)]


def test_grams_do_not_run_from_one_row_into_the_next(case):
    first, second = case.spell("x let"), case.spell(" me x")
    assert not case.labelers["tricky"](torch.tensor([first, second])).any()
    assert not case.labelers["tricky"](torch.tensor([case.spell("al"), case.spell("so")]))[0].any()


def test_repeated_and_non_contiguous_input_gives_the_same_labels(case):
    rng = random.Random(0)
    rows = torch.tensor([case.segment(to_bytes("So, let’s try. " * 9), rng)[:40] for _ in range(4)])
    before, labeler = rows.clone(), case.labelers["tricky"]
    labels = labeler(rows)
    assert labels.any() and not labels.all()
    interleaved = torch.stack([rows, rows.flip(1)], dim=2)[:, :, 0]
    for same in (rows, interleaved, rows.T.contiguous().T):
        assert torch.equal(labeler(same), labels)
        assert torch.equal(labeler(same, torch.ones_like(same)), labels)
    assert torch.equal(PlanningTokenLabeler(case.tokenizer, StrategicGrams(TRICKY))(rows), labels)
    assert torch.equal(rows, before)


def test_ids_may_be_of_any_integer_dtype(case):
    ids = torch.tensor([case.spell("also so")])
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        if ids.max() <= torch.iinfo(dtype).max:
            assert case.labelers["tricky"](ids.to(dtype)).tolist() == [[False] * 5 + [True] * 2]


def test_labels_are_bool_on_the_device_of_the_ids(case):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ids = torch.tensor([case.spell("so x")], device=device)
    labels = case.labelers["tricky"](ids, torch.ones_like(ids))
    assert labels.device == ids.device and labels.dtype == torch.bool
    assert labels.tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_empty_batch_has_no_planning_tokens(case, shape):
    ids = torch.zeros(shape, dtype=torch.int64)
    for mask in (None, torch.ones(shape, dtype=torch.int64)):
        labels = case.labelers["tricky"](ids, mask)
        assert labels.shape == shape and labels.dtype == torch.bool
        assert [list(row) for row in case.labelers["tricky"].occurrences(ids, mask)] == [[]] * shape[0]


@pytest.mark.parametrize(
    ("ids", "mask"),
    [
        (torch.zeros(4, dtype=torch.int64), None),
        (torch.zeros(1, 2, 4, dtype=torch.int64), None),
        (torch.zeros(2, 4), None),
        (torch.zeros(2, 4, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int64)),
        (torch.zeros(2, 4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)),
        (torch.zeros(2, 4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.int64)),
    ],
    ids=["1-D", "3-D", "float", "narrow mask", "1-D mask", "mask of one row"],
)
def test_wrong_shapes_and_dtypes_say_what_was_got_and_expected(case, ids, mask):
    for method in (case.labelers["tricky"], case.labelers["tricky"].occurrences):
        with pytest.raises(ValueError, match=r"got .*[(0-9]"):
            method(ids, mask)


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("WordPiece", decoders.WordPiece()),
        ("CTC", decoders.CTC()),
        ("BPEDecoder", decoders.BPEDecoder()),
        ("Replace", decoders.Replace("_", " ")),
        ("Replace", decoders.Sequence([decoders.Replace("▁", "_"), decoders.ByteFallback(), decoders.Fuse()])),
        ("Replace", decoders.Sequence([decoders.Replace("▁", " "), decoders.Replace("so", "thus"), decoders.Fuse()])),
    ],
    ids=["WordPiece", "CTC", "BPEDecoder", "underscore", "metaspace to underscore", "words replaced"],
)
def test_other_decoders_are_refused_by_name(name, decoder):
    backend = Tokenizer.from_str(tokenizer_of("gemma").backend_tokenizer.to_str())
    backend.decoder = decoder
    with pytest.raises(ValueError, match=name):
        PlanningTokenLabeler(PreTrainedTokenizerFast(tokenizer_object=backend), StrategicGrams(["so"]))


OF_GGUF = [decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " "), decoders.ByteLevel()]


@pytest.mark.parametrize("after", [[], [decoders.Strip(" ", 1, 0)]], ids=["alone", "Strip"])
@pytest.mark.parametrize("family", BYTE_LEVEL)
def test_the_decoder_of_a_gguf_file_gives_the_labels_of_byte_level(family, after, traces):
    """Transformers puts the steps of Llama 2 around it, which have nothing to do in a byte-level vocabulary."""
    plain = tokenizer_of(family)
    backend = Tokenizer.from_str(plain.backend_tokenizer.to_str())
    backend.decoder = decoders.Sequence([*OF_GGUF, *after])
    loaded = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert token_bytes(loaded) == token_bytes(plain)
    grams = StrategicGrams([*StrategicGrams.paper(), *TRICKY])
    ours, theirs = PlanningTokenLabeler(loaded, grams), PlanningTokenLabeler(plain, grams)
    rng = random.Random(0)
    rows = [plain.encode(text, add_special_tokens=False) for text in traces[:20]]
    rows.append([rng.randrange(len(plain) + 20) for _ in range(4000)])
    for row in rows:
        ids = torch.tensor([row])
        assert torch.equal(ours(ids), theirs(ids)) and ours.occurrences(ids) == theirs.occurrences(ids)
        assert ours(ids).any()


@pytest.mark.parametrize(
    "before",
    [
        [decoders.Fuse()],
        [decoders.Strip(" ", 1, 0)],
        [decoders.Replace("but", "yet")],
        [*OF_GGUF[:2], decoders.Replace("but", "yet")],
        [*OF_GGUF[:3], decoders.Replace("but", "yet")],
    ],
    ids=["Fuse", "Strip", "Replace", "another Replace", "two Replace"],
)
def test_other_steps_before_byte_level_are_refused(before):
    backend = Tokenizer.from_str(tokenizer_of("gpt2").backend_tokenizer.to_str())
    backend.decoder = decoders.Sequence([*before, decoders.ByteLevel()])
    with pytest.raises(ValueError, match=r"cannot tell the bytes of single tokens: got decoder [\w +]+ \+ ByteLevel,"):
        PlanningTokenLabeler(PreTrainedTokenizerFast(tokenizer_object=backend), StrategicGrams(["so"]))


def test_bert_tokenizer_is_refused():
    backend = Tokenizer(models.WordPiece({"[UNK]": 0, "let": 1, "##s": 2, "so": 3}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    with pytest.raises(ValueError, match="WordPiece"):
        PlanningTokenLabeler(PreTrainedTokenizerFast(tokenizer_object=backend), StrategicGrams(["so"]))


def test_tokenizer_without_decoder_is_refused():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "let": 1, "so": 2}, unk_token="<unk>"))
    with pytest.raises(ValueError, match=r"(?i)decoder"):
        PlanningTokenLabeler(PreTrainedTokenizerFast(tokenizer_object=backend), StrategicGrams(["so"]))


@pytest.mark.parametrize("tokenizer", ["gpt2", None, object()], ids=["name", "None", "object"])
def test_what_is_no_fast_tokenizer_is_refused(tokenizer):
    with pytest.raises((TypeError, ValueError)):
        PlanningTokenLabeler(tokenizer, StrategicGrams(["so"]))


def test_what_loads_mistrals_tokenizer_is_said():
    tokenizer = object.__new__(MistralCommonBackend)  # its package may not be there
    with pytest.raises(ValueError, match="got MistralCommonBackend; load it with mistral_format=False"):
        PlanningTokenLabeler(tokenizer, StrategicGrams(["so"]))


def test_a_labeler_pickles(case):
    labeler = pickle.loads(pickle.dumps(case.labelers["paper"]))
    ids = torch.tensor([case.encode("So wait, let’s backtrack.")])
    assert torch.equal(labeler(ids), case.labelers["paper"](ids)) and labeler(ids).any()
