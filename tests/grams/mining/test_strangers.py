"""What strangers' solutions hold: tags, scripts side by side, format characters, words without an end."""

import tracemalloc

import pytest

from hicra_trl.grams import GramMatcher, MiningConfig, mine_strategic_grams, prepare_counting


def mined(texts, **config):
    return mine_strategic_grams(texts, MiningConfig(clustering="none", drop_formulaic=0.0, top_clusters=1.0, **config))


@pytest.mark.parametrize(
    "tag", ["<think>\n", "</think>", "<|im_start|>", "<｜end▁of▁sentence｜>", "[INST]", '<a href="x y">', "<br/>"]
)
def test_tags_and_special_tokens_are_no_words(tag):
    grams = mined([f"{tag}Wait.\nHold on {tag} so we try {i}." for i in range(9)])
    assert set(grams) == {"wait", "hold on", "so we try"}


def test_what_is_less_than_something_is_no_tag():
    assert "y is small and z" in mined([f"We know x < that y is small and z > it, {i}" for i in range(9)])


def test_grams_are_spelled_as_their_solutions_are():
    spelled = [f"我们用python写一个{end}" for end in "甲乙丙"]
    spaced = [f"我们用 python 写一个{end}" for end in "甲乙丙"]
    for texts, gram in ((spelled, "用python写"), (spaced, "用 python 写")):
        grams = mined(texts)
        assert gram in grams and grams.statistics["example"][list(grams).index(gram)]
    both = mined(spelled[:2] + spaced)
    counts = dict(zip(both, both.statistics["document_frequency"]))
    assert (counts["用python写"], counts["用 python 写"]) == (2, 3)


def test_format_characters_do_not_end_a_word():
    grams = mined([f"من می\u200cخواهم بروم {end}" for end in "ابپ"])
    assert "من می\u200cخواهم بروم" in grams


def test_long_words_take_neither_memory_nor_time():
    texts = [f"Hold on to it, {'ha' * 200_000} {i}" for i in range(4)]
    tracemalloc.start()
    grams = mined(texts)
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()
    assert "hold on to it" in grams


def test_a_text_of_many_grams_is_searched_once(monkeypatch):
    searched = []
    find = GramMatcher.find_in_text
    monkeypatch.setattr(GramMatcher, "find_in_text", lambda self, text: searched.append(text) or find(self, text))
    grams = mined([f"let me try another way to do it, but wait {end}" for end in ("a bit", "a")])
    # Every matcher looks once for its grams in their own spelling.
    assert len(grams) > 10 and len([text for text in searched if "\0" not in text]) == 1


@pytest.mark.parametrize(("share", "size", "least"), [(0.07, 100, 7), (0.29, 100, 29), (0.02, 50, 2), (0.5, 5, 3)])
def test_a_share_of_the_solutions_is_taken_as_it_is_written(tmp_path, share, size, least):
    texts = [f"hold on {'a' * i}" for i in range(size)]
    assert prepare_counting(texts, MiningConfig(min_document_frequency=share), tmp_path).least == least
