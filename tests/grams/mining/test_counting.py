"""Counting in blocks, in processes and with interruptions gives what one plain count gives."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from hicra_trl.grams.mining import counting, ngrams
from hicra_trl.grams.mining.counting import Candidates, Counting, run_map, write_blocks
from hicra_trl.grams.mining.ngrams import Rules, count

from .test_ngrams import DEFAULT, frequencies, occurrences


LEAST = 3
SENTENCES = (
    *("So we try this now.", "Wait, hold on.", "Let’s double-check it", "what if we try", "so we try that now, maybe"),
    *("it is 3 and so we try", "$x$ is the sum of both", "Hmm", "naïve É ΣΟΣ", "因此 我们 再 试", "now or never?"),
)


def written(seed, number=60):
    rng = random.Random(seed)
    return [" ".join([*rng.choices(SENTENCES, k=rng.randrange(9)), rng.choice("abcdefghij")]) for _ in range(number)]


SOLUTIONS = written(0)


def counted(folder, solutions, rules=DEFAULT, least=LEAST, num_proc=1):
    """The whole count in a work folder."""
    job = Counting(folder, write_blocks(solutions, folder), rules, least)
    for title, function in job.maps.items():
        run_map(function, job.names, title, num_proc)
    return job


def table(job):
    candidates = Candidates(job)
    columns = (candidates.document, candidates.term, candidates.formula)
    return dict(zip(candidates.phrases, zip(*(column.tolist() for column in columns)), strict=True))


def plain(solutions, rules=DEFAULT, least=LEAST):
    return {phrase: values for phrase, values in frequencies(solutions, rules).items() if values[0] >= least}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", 7)


@pytest.fixture
def interrupted(small_blocks, tmp_path, monkeypatch):
    """A function that starts a count in the work folder and lets the third call of `name` fail."""

    def interrupt(name):
        real, calls = getattr(counting, name), []

        def breaks(*args):
            calls.append(args)
            if len(calls) == 3:
                raise RuntimeError("the machine stops")
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(counting, name, breaks)
            with pytest.raises(RuntimeError, match="the machine stops"):
                counted(tmp_path, SOLUTIONS)

    return interrupt


# One count however it is divided


@pytest.mark.parametrize("per_block", [1, 7, 59, 60, 2048])
def test_frequencies_do_not_depend_on_the_size_of_blocks(monkeypatch, tmp_path, per_block):
    monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", per_block)
    job = counted(tmp_path, SOLUTIONS)
    assert len(job.names) == -(-len(SOLUTIONS) // per_block)
    assert len(plain(SOLUTIONS)) > 40
    assert table(job) == plain(SOLUTIONS)


def test_frequencies_do_not_depend_on_the_number_of_processes(small_blocks, tmp_path):
    assert table(counted(tmp_path, SOLUTIONS, num_proc=2)) == plain(SOLUTIONS)


def test_more_processes_than_blocks_do_no_harm(tmp_path):
    assert table(counted(tmp_path, SOLUTIONS, num_proc=2)) == plain(SOLUTIONS)


@pytest.mark.parametrize("at_once", [10, 300])
def test_frequencies_do_not_depend_on_how_many_hashes_are_held_at_once(small_blocks, monkeypatch, tmp_path, at_once):
    whole = counted(tmp_path / "whole", SOLUTIONS).kept
    monkeypatch.setattr(counting, "_HASHES_AT_ONCE", at_once)
    job = counted(tmp_path / "in ranges", SOLUTIONS)
    assert len(job._hash_ranges()) > 1
    assert np.array_equal(job.kept, whole) and whole.size > 40
    assert table(job) == plain(SOLUTIONS)


def test_ranges_of_hashes_join_without_a_gap(monkeypatch, tmp_path):
    monkeypatch.setattr(counting, "_HASHES_AT_ONCE", 50)
    ranges = counted(tmp_path, SOLUTIONS)._hash_ranges()
    assert ranges[0][0] == 0 and ranges[-1][1] > ngrams._HASH_MASK
    assert all(high == low for (_, high), (low, _) in itertools.pairwise(ranges))


@pytest.mark.parametrize("least", [1, 2, 9, 60])
@pytest.mark.parametrize("rules", [Rules(), Rules(1, 2, False), Rules(2, 10, True)], ids=str)
def test_every_ngram_that_enough_solutions_have_is_kept(small_blocks, tmp_path, rules, least):
    assert table(counted(tmp_path, SOLUTIONS, rules, least)) == plain(SOLUTIONS, rules, least)


def test_an_ngram_just_frequent_enough_over_all_blocks_is_kept(small_blocks, tmp_path):
    """One occurrence in each of the blocks, which is as thin as it can be spread."""
    solutions = [f"hold on {'so we try' if i % 7 == 3 else ''}" for i in range(63)]
    assert [table(counted(tmp_path, solutions, least=least)).get("on so we") for least in (9, 10)] == [(9, 9, 0), None]


def test_solutions_longer_than_a_block_are_counted_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(ngrams, "BLOCK_CHARACTERS", 50)
    solutions = [text * 3 for text in SOLUTIONS]
    job = counted(tmp_path, solutions)
    assert sum(len(text) > 50 for text in solutions) > 40 and len(job.names) > 40
    assert table(job) == plain(solutions)


def test_phrases_are_in_the_order_of_their_words(small_blocks, tmp_path):
    candidates = Candidates(counted(tmp_path, SOLUTIONS))
    assert candidates.phrases == sorted(candidates.phrases)


@pytest.mark.parametrize("solutions", [["", ""], ["...", "3"], ["so", "we"], ["so we try", "hold on"]], ids=str)
def test_a_corpus_without_a_common_ngram_has_no_candidates(small_blocks, tmp_path, solutions):
    candidates = Candidates(counted(tmp_path, solutions, least=2))
    assert candidates.phrases == [] and candidates.document.size == 0


def test_blocks_without_ngrams_add_nothing(small_blocks, tmp_path):
    solutions = [*[""] * 7, *SOLUTIONS, *["3"] * 14]
    assert table(counted(tmp_path, solutions)) == plain(solutions) == plain(SOLUTIONS)


def test_a_block_is_read_back_as_it_was_written(small_blocks, tmp_path):
    solutions = [*SOLUTIONS, "", "\x00", "a\r\nb\u2028c", " 😀 "]
    names = write_blocks(iter(solutions), tmp_path)
    job = Counting(tmp_path, names, DEFAULT, LEAST)
    assert [text for name in names for text in job.solutions(name)] == solutions


# Clusters and examples


@pytest.mark.parametrize("num_clusters", [1, 5, 40])
def test_cluster_document_frequency_is_the_size_of_a_union(small_blocks, tmp_path, num_clusters):
    candidates = Candidates(counted(tmp_path, SOLUTIONS))
    rng = np.random.default_rng(num_clusters)
    labels = rng.integers(-1, num_clusters, len(candidates.phrases))
    labels[:2] = num_clusters - 1, -1
    having = [{phrase for phrase, _ in occurrences(text)} for text in SOLUTIONS]
    unions = []
    for cluster in range(num_clusters):
        grams = {phrase for phrase, label in zip(candidates.phrases, labels) if label == cluster}
        unions.append(sum(bool(grams & has) for has in having))
    assert candidates.cluster_document_frequency(labels).tolist() == unions
    singles = np.arange(len(candidates.phrases))
    assert np.array_equal(candidates.cluster_document_frequency(singles), candidates.document)


def test_example_of_an_ngram_is_the_first_solution_that_has_it(small_blocks, tmp_path):
    candidates = Candidates(counted(tmp_path, SOLUTIONS))
    rows = np.random.default_rng(0).permutation(len(candidates.phrases))[:30]
    having = [(text, {phrase for phrase, _ in occurrences(text)}) for text in SOLUTIONS]
    first = [next(text for text, has in having if candidates.phrases[row] in has) for row in rows]
    assert candidates.examples(rows) == first


# Interruptions, and other work in the same folder


@pytest.mark.parametrize("name", ["count", "locate"])
def test_interrupted_work_goes_on_where_it_stopped(interrupted, tmp_path, monkeypatch, name):
    interrupted(name)
    before = times(tmp_path)
    real, calls = getattr(counting, name), []
    monkeypatch.setattr(counting, name, lambda *args: calls.append(args) or real(*args))
    job = counted(tmp_path, SOLUTIONS)
    assert len(job.names) == 9 and len(calls) == 7
    assert times(tmp_path).items() >= before.items()
    assert table(job) == plain(SOLUTIONS)


def test_finished_work_is_not_done_again(small_blocks, tmp_path, monkeypatch):
    expected = table(counted(tmp_path, SOLUTIONS))
    before = times(tmp_path)
    for name in ("count", "locate", "read_block"):
        monkeypatch.delattr(counting, name)
    assert table(counted(tmp_path, SOLUTIONS)) == expected
    assert times(tmp_path) == before


def test_another_threshold_counts_no_block_again(small_blocks, tmp_path, monkeypatch):
    counted(tmp_path, SOLUTIONS, least=9)
    monkeypatch.delattr(counting, "count")
    assert table(counted(tmp_path, SOLUTIONS, least=4)) == plain(SOLUTIONS, least=4)


def test_a_corpus_that_grew_counts_new_blocks_alone(small_blocks, tmp_path, monkeypatch):
    counted(tmp_path, SOLUTIONS[:56])
    calls = []
    monkeypatch.setattr(counting, "count", lambda *args: calls.append(args) or count(*args))
    assert table(counted(tmp_path, SOLUTIONS)) == plain(SOLUTIONS)
    assert len(calls) == 1


def test_halves_of_files_are_ignored(interrupted, tmp_path):
    interrupted("locate")
    for folder in [path for path in tmp_path.iterdir() if path.is_dir()]:
        done = sorted(folder.iterdir())
        (folder / f"{done[-1].stem}.12345.part.npy").write_bytes(b"half")
        (folder / f"{done[-1].name}.part").write_bytes(done[-1].read_bytes()[:10])
    assert table(counted(tmp_path, SOLUTIONS)) == plain(SOLUTIONS)


@pytest.mark.parametrize(
    "changed",
    [
        written(1),
        SOLUTIONS[::-1],
        SOLUTIONS[1:],
        [*SOLUTIONS[:30], "Hold on, so we try this now", *SOLUTIONS[31:]],
        [*SOLUTIONS[:30], SOLUTIONS[30] + " so we try this now", *SOLUTIONS[31:]],
    ],
    ids=["another", "reversed", "first left out", "one replaced", "one longer"],
)
def test_a_changed_corpus_is_never_mixed_up_with_the_old_one(small_blocks, tmp_path, changed):
    old = counted(tmp_path, SOLUTIONS)
    new = counted(tmp_path, changed)
    assert table(new) == plain(changed)
    assert table(old) == plain(SOLUTIONS)
    assert new.names != old.names


def test_solutions_divided_otherwise_are_another_corpus(tmp_path):
    for solutions in (["so we try\x00hold on", "so we try"], ["so we try", "hold on\x00so we try"]):
        assert table(counted(tmp_path, solutions, least=1)) == plain(solutions, least=1)
    for solutions in (["so we try\x00so we try"], ["so we try", "so we try"]):
        assert table(counted(tmp_path, solutions, least=1)) == plain(solutions, least=1)


def test_other_rules_in_the_same_folder_are_counted_on_their_own(small_blocks, tmp_path):
    for rules in (Rules(), Rules(2, 5), Rules(3, 4), Rules(3, 5, False), Rules()):
        assert table(counted(tmp_path, SOLUTIONS, rules)) == plain(SOLUTIONS, rules)


def test_counts_are_those_of_a_plain_counter(tmp_path):
    """No oracle but `str.split`, on text without punctuation."""
    rng = random.Random(7)
    solutions = [" ".join(rng.choices(["so", "we", "try", "this", "now", "wait"], k=20)) for _ in range(60)]
    windows = [
        [" ".join(words[i : i + n]) for n in (3, 4, 5) for i in range(len(words) - n + 1)]
        for words in map(str.split, solutions)
    ]
    term = Counter(phrase for found in windows for phrase in found)
    document = Counter(phrase for found in windows for phrase in set(found))
    expected = {phrase: (document[phrase], term[phrase], 0) for phrase in term if document[phrase] >= LEAST}
    assert len(expected) > 100
    assert table(counted(tmp_path, solutions)) == expected
