import json
import logging
import resource

import pytest

from hicra_trl.grams import GramMatcher, StrategicGrams
from hicra_trl.grams.lexicon import normalize


def test_the_papers_list_has_249_grams_in_its_order():
    grams = StrategicGrams.paper()
    assert len(grams) == 249
    assert (grams[0], grams[1], grams[248]) == ("## step", "a good starting point is", "work our way")
    assert "Let’s  Backtrack" in grams
    assert "Haozhe Wang and Qixin Xu and Che Liu and Junhong Wu and Fangzhen Lin" in grams.provenance["citation"]


def test_the_papers_list_is_what_it_was():
    assert StrategicGrams.paper().fingerprint == "00bad3dac1f1fab5"


def test_phrases_are_normalised_and_duplicates_dropped_with_a_message(caplog):
    with caplog.at_level(logging.WARNING):
        grams = StrategicGrams(["  Let’s\n try ", "wait,", "LET'S TRY", "wait,"])
    assert list(grams) == ["let's try", "wait,"]
    assert 'dropped 2 duplicate strategic grams, such as "let\'s try"' in caplog.text


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ([], "needs at least one strategic gram, got none"),
        (["wait", 3], "strategic gram 1 must be a string, got int: 3"),
        (["wait", None], "strategic gram 1 must be a string, got NoneType"),
        (["wait", " \n"], r"strategic gram 1 is empty: ' \\n'"),
        (["x" * 201], "strategic gram 0 has 201 characters, at most 200"),
        (["wa\x00it"], "strategic gram 0 holds a control character"),
        ("wait", "needs a list of phrases, got one string: 'wait'"),
    ],
)
def test_wrong_phrases_are_named(phrases, message):
    with pytest.raises(ValueError, match=message):
        StrategicGrams(phrases)


def test_saving_and_loading_keeps_everything(tmp_path):
    grams = StrategicGrams(["so", "but wait", "μια στιγμή"], {"corpus": "mine"})
    grams.save(tmp_path / "lexicon")
    loaded = StrategicGrams.load(tmp_path / "lexicon")
    assert loaded == grams and loaded.fingerprint == grams.fingerprint
    assert loaded.provenance["corpus"] == "mine"
    assert json.loads((tmp_path / "lexicon" / "provenance.json").read_text())["size"] == 3


def test_loading_names_the_file_that_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no strategic grams at 'nowhere': expected 'paper', a text file"):
        StrategicGrams.load("nowhere")
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ValueError, match=r"empty.txt: a lexicon needs at least one strategic gram, got none"):
        StrategicGrams.load(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary.txt: .*can't decode"):
        StrategicGrams.load(tmp_path / "binary.txt")


def test_a_byte_order_mark_is_no_part_of_a_gram(tmp_path):
    (tmp_path / "grams.txt").write_text("wait\nlet's try\n", encoding="utf-8-sig")
    assert list(StrategicGrams.load(tmp_path / "grams.txt")) == ["wait", "let's try"]


@pytest.mark.parametrize("name", ["grams.jsonl", "grams.csv", "grams.txt"])
def test_a_file_of_data_is_no_list_of_grams(name, tmp_path):
    (tmp_path / name).write_text('{"gram": "wait"}\n')
    with pytest.raises(ValueError, match=f"{name}: expected one gram a line, got a file of data"):
        StrategicGrams.load(tmp_path / name)


def test_the_fingerprint_depends_on_the_grams_and_on_nothing_else():
    grams = StrategicGrams(["so", "but"], {"a": 1})
    assert grams.fingerprint == StrategicGrams(["SO ", "but"]).fingerprint
    assert grams.fingerprint != StrategicGrams(["but", "so"]).fingerprint
    assert StrategicGrams.paper().fingerprint == "00bad3dac1f1fab5"


def test_dropping_a_share_keeps_the_order_and_follows_the_seed():
    grams = StrategicGrams.paper()
    dropped = grams.drop(0.3, seed=1)
    assert len(dropped) == 249 - 75
    assert list(dropped) == [gram for gram in grams if gram in set(dropped)]
    assert dropped == grams.drop(0.3, seed=1) != grams.drop(0.3, seed=2)
    assert grams.drop(0.0, seed=1) == grams
    with pytest.raises(ValueError, match=r"must be in \[0, 1\), got 1"):
        grams.drop(1, seed=0)


def test_a_lexicon_cannot_be_changed():
    grams = StrategicGrams(["so"])
    grams.provenance["corpus"] = "other"
    assert grams.provenance == {}
    with pytest.raises(TypeError):
        grams[0] = "but"


def test_a_lexicon_of_too_many_bytes_is_refused():
    with pytest.raises(ValueError, match=r"may have 10,000,000 bytes of grams, got 1\d,"):
        StrategicGrams([f"{number:06}" + "因" * 190 for number in range(20_000)])


def test_a_long_lexicon_takes_little_memory():
    """Its automaton would take half a gigabyte as a DFA."""
    grams = StrategicGrams(
        ["".join(chr(0x4E00 + (7 * i * i + j * i) % 20_000) for j in range(60)) for i in range(5000)]
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matcher = GramMatcher(grams)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000
    assert not matcher.unmatched


@pytest.mark.parametrize("phrase", ["l\u00adet ʼs", "Cafe\u0301", "`x`"])
def test_a_phrase_is_in_the_form_in_which_it_is_matched(phrase):
    (gram,) = StrategicGrams([phrase])
    assert gram in ("let 's", "café", "'x'") and normalize(gram) == gram


def test_every_letter_is_found_in_its_own_spelling():
    letters = [chr(code) for code in range(0x21, 0x20000) if chr(code).isprintable()]
    grams = [f"x{letter}" for letter in letters] + [letter for letter in letters if normalize(letter)]
    assert not GramMatcher(grams).unmatched
    found = GramMatcher([normalize(gram) for gram in grams]).find_in_text("\0".join(grams))
    assert set(found[:, 0].tolist()) == set(range(len(grams)))


def test_a_matcher_of_no_grams_finds_nothing():
    assert GramMatcher([]).find_in_text("so wait").shape == (0, 5)
