"""Mining: what is kept and why, on corpora made for it, on the playground's traces and on real ones."""

import json
import random
from dataclasses import asdict

import faiss
import numpy as np
import pytest
import torch

from hicra_trl.grams import (
    Corpus,
    CorpusArguments,
    GramMatcher,
    MiningConfig,
    PlanningTokenLabeler,
    StrategicGrams,
    mine_strategic_grams,
)
from hicra_trl.grams.lexicon import normalize
from hicra_trl.grams.mining import mine as mining
from hicra_trl.grams.mining import ngrams
from hicra_trl.grams.mining.clusters import embed, kmeans, load_embedding_model
from hicra_trl.grams.mining.ngrams import Rules
from hicra_trl.playground import PHRASES, Policy, write_trace
from hicra_trl.playground.pretrain import train_tokenizer
from hicra_trl.playground.world import split_problems

from .test_ngrams import frequencies, occurrences


LONG_REASONING = ("deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-14b", "deepseek-r1-distill-qwen-32b")
INSTRUCT = ("llama-3.1-8b-instruct", "qwen2.5-14b-instruct")


def written(problems, number, seed):
    rng = random.Random(seed)
    return [write_trace(rng.choice(problems), rng, Policy()) for _ in range(number)]


@pytest.fixture(scope="session")
def planted():
    """Traces of the playground's training problems, which hold the phrases that were planted."""
    return written(split_problems(0)[0], 1000, seed=1)


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """A work folder that keeps the embeddings from one test to the next."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def mined(planted, work):
    return mine_strategic_grams(planted, work_folder=work)


@pytest.fixture(scope="session")
def every_cluster(planted, work):
    """By `rank_by`: the same clusters, all of them kept."""
    return {
        rank_by: mine_strategic_grams(
            planted, MiningConfig.paper(rank_by=rank_by, top_clusters=1.0, num_clusters=12), work_folder=work
        )
        for rank_by in ("mean", "max", "cluster")
    }


def rows_of(grams):
    """One dict for each gram."""
    columns = {"gram": list(grams), **grams.statistics}
    return [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]


def clusters_of(grams):
    """{rank: grams of the cluster}, in the order of ranks."""
    clusters = {}
    for row in rows_of(grams):
        clusters.setdefault(row["rank"], set()).add(row["gram"])
    return clusters


def mine(solutions, **fields):
    """Every n-gram that two solutions have, each its own cluster, but for what `fields` say."""
    everything = {"short_clauses": False, "min_document_frequency": 1e-9, "drop_formulaic": 0.0, "common": None}
    return mine_strategic_grams(
        solutions, MiningConfig(**{"clustering": "none", "top_clusters": 1.0, **everything, **fields})
    )


def phrase(letter):
    """An n-gram of three words of its own."""
    return f"{letter}a {letter}b {letter}c"


def graded():
    """Ten phrases in eleven solutions: the first is in all of them, the next in one fewer, the last in two."""
    return [", ".join(["pqrstuvwxyz"[d], *map(phrase, "abcdefghij"[: 10 - max(d - 1, 0)])]) for d in range(11)]


# The same result, and where it comes from


def test_saved_folders_are_byte_identical_on_any_number_of_processes_and_blocks(planted, tmp_path, monkeypatch):
    saved = []
    for num_proc, per_block in ((1, 150), (2, 150), (1, 2048)):
        monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", per_block)
        folder = mine_strategic_grams(planted, num_proc=num_proc).save(tmp_path / f"{num_proc}-{per_block}")
        saved.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(saved[0]) == 3
    assert saved[0] == saved[1] == saved[2]


def test_provenance_says_config_corpus_counts_and_versions(planted, mined, tmp_path):
    provenance = mined.provenance
    assert provenance["config"] == asdict(MiningConfig())
    assert provenance["corpus"] == {"solutions": len(set(planted)), "duplicates": len(planted) - len(set(planted))}
    counts = provenance["counts"]
    frequent = [values for values in frequencies(set(planted)).values() if values[0] >= 0.02 * len(set(planted))]
    assert counts["n-grams in enough solutions"] == len(frequent)
    assert counts["n-grams in enough solutions"] >= counts["n-grams clustered"] >= len(mined)
    assert counts["clusters"] >= counts["clusters kept"] == len(clusters_of(mined))
    versions = provenance["versions"]
    assert versions.keys() == {"hicra-trl", "sentence-transformers", "faiss-cpu", "torch"}
    assert versions["faiss-cpu"] == faiss.__version__
    assert torch.__version__.startswith(versions["torch"])
    record = json.loads((mined.save(tmp_path) / "provenance.json").read_text(encoding="utf-8"))
    assert record == {**provenance, "fingerprint": mined.fingerprint, "size": len(mined)}


def test_provenance_names_the_dataset_of_a_corpus_but_not_where_it_lies(tmp_path):
    file = tmp_path / "solutions.jsonl"
    rows = [{"text": f"so we try {word}", "correct": word != "that"} for word in ("this", "that", "it", "it")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = Corpus(CorpusArguments(str(file), correct_only=True))
    assert mine(corpus).provenance["corpus"] == {
        **{"dataset": "solutions.jsonl", "read": 4, "incorrect": 1, "correct_threshold": 1.0},
        **{"solutions": 2, "duplicates": 1},
    }


def test_a_mined_lexicon_loads_as_it_was(mined, tmp_path):
    loaded = StrategicGrams.load(mined.save(tmp_path))
    assert loaded == mined and loaded.statistics == mined.statistics
    assert loaded.provenance == {**mined.provenance, "fingerprint": mined.fingerprint, "size": len(mined)}


def test_statistics_are_those_of_a_slow_count(planted, mined):
    solutions = list(dict.fromkeys(planted))
    slow = frequencies(solutions)
    having = [{found for found, _ in occurrences(text)} for text in solutions]
    clusters = clusters_of(mined)
    for row in rows_of(mined):
        assert (row["document_frequency"], row["term_frequency"]) == slow[row["gram"]][:2]
        assert row["cluster_document_frequency"] == sum(bool(clusters[row["rank"]] & has) for has in having)
        assert row["gram"] in normalize(row["example"]) and len(row["example"]) < len(row["gram"]) + 130
        assert any(row["example"] in " ".join(text.split()) for text in solutions)


def test_grams_are_in_the_order_of_their_clusters_ranks_and_then_by_document_frequency(mined):
    rows = rows_of(mined)
    order = [(row["rank"], -row["document_frequency"]) for row in rows]
    assert order == sorted(order)
    assert {row["rank"] for row in rows} == set(range(1, len(clusters_of(mined)) + 1))
    assert len({(row["rank"], row["cluster"], row["cluster_document_frequency"]) for row in rows}) == rows[-1]["rank"]


def test_finished_embeddings_are_not_made_again(planted, mined, work, monkeypatch):
    monkeypatch.delattr(mining, "load_embedding_model")
    again = mine_strategic_grams(planted, work_folder=work)
    assert again == mined and again.statistics == mined.statistics


def test_an_interrupted_embedding_goes_on_and_gives_the_same(planted, mined, tmp_path, monkeypatch):
    calls = []

    def breaks_once(*args):
        calls.append(args)
        if len(calls) == 3:
            raise RuntimeError("the machine stops")
        return embed(*args)

    monkeypatch.setattr(mining, "_PHRASES_AT_ONCE", 10)
    monkeypatch.setattr(mining, "embed", breaks_once)
    with pytest.raises(RuntimeError, match="the machine stops"):
        mine_strategic_grams(planted, work_folder=tmp_path)
    again = mine_strategic_grams(planted, work_folder=tmp_path)
    parts = -(-mined.provenance["counts"]["n-grams clustered"] // 10)
    assert len(calls) == parts + 1
    assert again == mined and again.statistics == mined.statistics


def test_a_generator_of_solutions_is_enough(planted, mined, work):
    assert mine_strategic_grams((text for text in planted), work_folder=work) == mined


# The config


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"min_n": 0}, "1 <= min_n <= max_n <= 10, got min_n 0 and max_n 5"),
        ({"min_n": 6}, "1 <= min_n <= max_n <= 10, got min_n 6 and max_n 5"),
        ({"max_n": 11}, "1 <= min_n <= max_n <= 10, got min_n 3 and max_n 11"),
        ({"min_document_frequency": 0.0}, r"min_document_frequency must be in \(0, 1\], got 0.0"),
        ({"min_document_frequency": 1.1}, r"min_document_frequency must be in \(0, 1\], got 1.1"),
        ({"min_document_frequency": float("nan")}, r"min_document_frequency must be in \(0, 1\], got nan"),
        ({"top_clusters": 0.0}, r"top_clusters must be in \(0, 1\], got 0.0"),
        ({"top_clusters": 20}, r"top_clusters must be in \(0, 1\], got 20"),
        ({"common": 0.0}, r"common must be in \(0, 1\], got 0.0"),
        ({"common": 4.0}, r"common must be in \(0, 1\], got 4.0"),
        ({"drop_formulaic": -0.1}, r"drop_formulaic must be in \[0, 1\), got -0.1"),
        ({"drop_formulaic": 1.0}, r"drop_formulaic must be in \[0, 1\), got 1.0"),
        ({"max_term_ratio": 0.9}, "max_term_ratio must be at least 1, got 0.9"),
        ({"max_term_ratio": float("nan")}, "max_term_ratio must be at least 1, got nan"),
        ({"num_clusters": 0}, "num_clusters must be at least 1, got 0"),
        ({"clustering": "dbscan"}, "clustering must be .*kmeans.*none.*, got 'dbscan'"),
        ({"rank_by": "median"}, "rank_by must be .*mean.*cluster.*max.*, got 'median'"),
    ],
    ids=lambda value: ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_value_outside_its_range_is_refused_with_what_was_expected(fields, expected):
    with pytest.raises(ValueError, match=expected):
        MiningConfig(**fields)


def test_the_edges_of_the_ranges_are_accepted():
    MiningConfig(1, 1, min_document_frequency=1.0, top_clusters=1.0, common=1.0, max_term_ratio=1, num_clusters=1)
    MiningConfig(10, 10, drop_formulaic=0.0, common=None, max_term_ratio=None, num_clusters=None)


def test_an_unknown_embedding_model_is_one_clear_error():
    with pytest.raises(ValueError, match=r"no embedding model 'no/such model': expected a folder or"):
        mine_strategic_grams(["so we try", "so we try this"], MiningConfig(embedding_model="no/such model"))


# The three steps


@pytest.mark.parametrize("clustering", ["kmeans", "none"])
def test_paper_preset_keeps_exactly_the_top_fifth_of_clusters_by_document_frequency(planted, work, clustering):
    def paper(**fields):
        return mine_strategic_grams(planted, MiningConfig.paper(clustering=clustering, **fields), work_folder=work)

    rules = Rules(3, 5, False)
    solutions = list(dict.fromkeys(planted))
    having = [{found for found, _ in occurrences(text, rules)} for text in solutions]
    everything = clusters_of(paper(top_clusters=1.0)).values()
    # All n-grams of three to five words in enough solutions are in one cluster each.
    enough = {gram for gram, values in frequencies(solutions, rules).items() if values[0] >= 0.01 * len(solutions)}
    assert sorted(gram for cluster in everything for gram in cluster) == sorted(enough)
    assert len(everything) == (len(enough) if clustering == "none" else len(enough) // 5)

    def document_frequency(cluster):
        return sum(bool(cluster & has) for has in having)

    by_frequency = sorted(map(document_frequency, everything), reverse=True)
    kept = list(clusters_of(paper()).values())
    assert len(kept) == round(0.2 * len(everything)) < len(everything)
    assert list(map(document_frequency, kept)) == by_frequency[: len(kept)]
    assert all(cluster in everything for cluster in kept)


@pytest.mark.parametrize("rank_by", ["mean", "max", "cluster"])
def test_clusters_are_ranked_by_what_rank_by_says(every_cluster, rank_by):
    def score(rank):
        rows = [row for row in rows_of(every_cluster[rank_by]) if row["rank"] == rank]
        document = [row["document_frequency"] for row in rows]
        own = {row["cluster_document_frequency"] for row in rows}
        return {"mean": sum(document) / len(document), "max": max(document), "cluster": max(own)}[rank_by]

    ranks = sorted(clusters_of(every_cluster[rank_by]))
    scores = [score(rank) for rank in ranks]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) > 5


def test_rank_by_changes_the_order_and_not_the_clusters(every_cluster):
    orders = [[frozenset(cluster) for cluster in clusters_of(grams).values()] for grams in every_cluster.values()]
    assert len({tuple(order) for order in orders}) == 3
    assert len({frozenset(order) for order in orders}) == 1


def test_seed_and_number_of_clusters_are_used(planted, work):
    def partition(**fields):
        config = MiningConfig.paper(top_clusters=1.0, **fields)
        return frozenset(map(frozenset, clusters_of(mine_strategic_grams(planted, config, work_folder=work)).values()))

    assert [len(partition(num_clusters=number)) for number in (1, 3)] == [1, 3]
    assert partition(num_clusters=12, seed=5) == partition(num_clusters=12, seed=5)
    assert len({partition(num_clusters=12, seed=seed) for seed in range(4)}) > 1


def test_more_clusters_than_ngrams_are_as_many_as_there_are_ngrams(planted, work):
    grams = mine_strategic_grams(planted, MiningConfig.paper(top_clusters=1.0, num_clusters=10**6), work_folder=work)
    assert len(clusters_of(grams)) <= len(grams)
    assert {row["gram"] for row in rows_of(grams)} == {
        gram for cluster in clusters_of(grams).values() for gram in cluster
    }


def test_paraphrases_share_a_cluster():
    planning = ["let me check this", "let me verify this", "let me double-check this"]
    physics = ["a train travels north", "trains travelling to the north", "the train travelled northwards"]
    embeddings = embed([*planning, *physics], load_embedding_model("all-MiniLM-L6-v2"))
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert kmeans(embeddings, 2, seed=0).tolist() == [0, 0, 0, 1, 1, 1]


# Fields, one by one, on corpora made for them


@pytest.mark.parametrize(("share", "kept"), [(0.1, "a"), (0.3, "abc"), (0.7, "abcdefg"), (1.0, "abcdefghij")])
def test_top_clusters_is_the_share_that_is_kept(share, kept):
    assert list(mine(graded(), top_clusters=share)) == [phrase(letter) for letter in kept]


def test_one_cluster_at_least_is_kept():
    assert list(mine(graded(), top_clusters=1e-6)) == [phrase("a")]


@pytest.mark.parametrize(
    ("common", "kept"), [(None, "ab"), (1.0, "ab"), (7 / 11, "abcde"), (0.64, "abcd"), (1e-6, "abcdefghij")]
)
def test_common_clusters_are_kept_whatever_their_rank(common, kept):
    grams = mine(graded(), top_clusters=0.2, common=common)
    assert list(grams) == [phrase(letter) for letter in kept]
    assert grams.statistics["document_frequency"] == list(range(11, 11 - len(kept), -1))


@pytest.mark.parametrize(("least", "kept"), [(1.0, "a"), (7 / 11, "abcde"), (0.64, "abcd"), (0.01, "abcdefghij")])
def test_min_document_frequency_is_a_share_of_the_solutions(least, kept):
    assert list(mine(graded(), min_document_frequency=least)) == [phrase(letter) for letter in kept]


def test_two_solutions_at_least_must_have_an_ngram():
    assert list(mine([f"{phrase('a')}, {phrase('b')}", phrase("a")])) == [phrase("a")]


@pytest.mark.parametrize(("ratio", "kept"), [(None, "abc"), (3, "abc"), (2.9, "ab"), (1.5, "ab"), (1.4, "a")])
def test_max_term_ratio_drops_what_one_solution_repeats(ratio, kept):
    solutions = [
        ", ".join([word, phrase("a"), *[phrase("b")] * (1 + d % 2), *[phrase("c")] * 3])
        for d, word in enumerate(("one", "two", "three", "four"))
    ]
    assert sorted(mine(solutions, max_term_ratio=ratio)) == [phrase(letter) for letter in kept]


def with_digits(shares):
    """20 solutions with as many phrases as `shares`, of which each says how many of its sentences hold a digit."""
    return [
        " ".join(f"{phrase('abcdefghij'[i])}{', 3' if d < share else ''}." for i, share in enumerate(shares))
        + f" {'abcdefghijklmnopqrst'[d]}"
        for d in range(20)
    ]


@pytest.mark.parametrize(("share", "kept"), [(0.0, "abcdefghij"), (0.1, "abcdefghi"), (0.4, "abcdef"), (0.9, "a")])
def test_drop_formulaic_is_the_share_that_is_left_out(share, kept):
    """The tenth phrase is the one most often in a sentence with digits."""
    assert sorted(mine(with_digits(range(10)), drop_formulaic=share)) == [phrase(letter) for letter in kept]


def test_what_is_most_often_in_a_sentence_with_digits_is_left_out():
    assert phrase("a") in mine(with_digits([0, 20, 0, 20, 0, 20]), drop_formulaic=0.5)
    assert phrase("b") not in mine(with_digits([0, 20, 0, 20, 0, 20]), drop_formulaic=0.5)


@pytest.mark.parametrize("shares", [[0] * 5, [7] * 5, [20] * 5])
def test_ngrams_that_are_equally_formulaic_stay_together(shares):
    assert len(mine(with_digits(shares), drop_formulaic=0.4)) == 5


def test_short_clauses_are_ngrams_if_asked_for():
    solutions = ["Wait, so we try this. Hold on", "Wait. Hold on, it is now or never"]
    assert set(mine(solutions, short_clauses=True)) == {"wait", "hold on"}
    with pytest.raises(ValueError, match="no n-gram of 3 to 5 words"):
        mine(solutions)


def test_ngrams_have_min_n_to_max_n_words():
    solutions = [f"{word}. now we try this other way" for word in ("this", "that")]
    for low, high in ((1, 1), (2, 3), (6, 6)):
        words = ["now", "we", "try", "this", "other", "way"]
        expected = {" ".join(words[i : i + n]) for n in range(low, high + 1) for i in range(7 - n)}
        assert set(mine(solutions, min_n=low, max_n=high)) == expected


# Corpora that are hard to mine


def test_duplicates_are_counted_and_left_out():
    solutions = ["so we try this", "so we try that", " so we try this\n", "so we try this"]
    grams = mine(solutions)
    assert grams.provenance["corpus"] == {"solutions": 2, "duplicates": 2}
    assert rows_of(grams) == [rows_of(mine(solutions[:2]))[0]] and list(grams) == ["so we try"]
    assert grams.statistics["document_frequency"] == [2]


@pytest.mark.parametrize(
    ("solutions", "message"),
    [
        ([], r"at least 2 different solutions, got 0 \(0 duplicates\)"),
        (["so we try this"], r"at least 2 different solutions, got 1 \(0 duplicates\)"),
        (["so we try this"] * 5, r"at least 2 different solutions, got 1 \(4 duplicates\)"),
        (["", " ", "\n"], r"at least 2 different solutions, got 1 \(2 duplicates\)"),
        (["so we try this", "hold on"], "no n-gram of 3 to 5 words is in at least 2 of 2 solutions"),
        (["", "3", "..."], "no n-gram of 3 to 5 words is in at least 2 of 3 solutions"),
    ],
    ids=["empty", "one", "all the same", "blank", "nothing in common", "no words"],
)
@pytest.mark.parametrize("config", [MiningConfig(), MiningConfig.paper()], ids=["default", "paper"])
def test_a_corpus_that_cannot_be_mined_is_one_clear_error(solutions, message, config, tmp_path):
    for work_folder in (None, tmp_path):
        with pytest.raises(ValueError, match=message) as error:
            mine_strategic_grams(iter(solutions), config, work_folder=work_folder)
        assert len(str(error.value).splitlines()) == 1


JUNK = {
    "lone surrogate": "\ud800",
    "lone surrogate between words": "so we \udfff try",
    "NUL": "\x00",
    "NUL between words": "a\x00b\x00c",
    "nothing": "",
    "control characters": "\x01\x02\x03\x04\x7f\x85",
    "invisible characters": "\u2028\ufeff\u200b",
    "open mathematics": "$\\[\\(\\frac{",
    "emoji": "😀" * 500,
    "no spaces": "因" * 300,
    "private use": "\U0010ffff",
    "many words": "xy z" * 5000,
    "two words of 150 letters": "é" * 150,
    "word of 200 letters": "x" * 200,
    "word of 201 letters": "x" * 201,
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_whatever_is_in_a_solution_mining_goes_on(junk, tmp_path):
    solutions = [f"{junk} {junk}\n{word}. So we try.\n{junk}" for word in ("one", "two", "three")]
    grams = mine([*solutions, junk, f"{junk}{junk}", ""], short_clauses=True)
    row = next(row for row in rows_of(grams) if row["gram"] == "so we try")
    assert (row["document_frequency"], row["term_frequency"]) == (3, 3)
    assert "So we try." in row["example"]
    loaded = StrategicGrams.load(grams.save(tmp_path))
    assert loaded == grams
    assert loaded.statistics["document_frequency"] == grams.statistics["document_frequency"]


# What it is for


def test_planted_phrases_are_found_again(mined):
    """Token by token, on traces of problems that were not mined."""
    training, held_out = split_problems(0)
    tokenizer = train_tokenizer([("", text) for text in written(training, 300, seed=2)])
    planted_phrases = StrategicGrams([phrase for phrases in PHRASES.values() for phrase in phrases])
    labeler, truth = PlanningTokenLabeler(tokenizer, mined), PlanningTokenLabeler(tokenizer, planted_phrases)
    found = planned = both = total = 0
    for ids in map(tokenizer.encode, written(held_out, 300, seed=3)):
        got, expected = labeler(torch.tensor([ids])), truth(torch.tensor([ids]))
        found, planned, both = found + got.sum().item(), planned + expected.sum().item(), both + (got & expected).sum()
        total += len(ids)
    assert 0.1 < planned / total < 0.6
    assert both / found >= 0.85 and both / planned >= 0.85


@pytest.mark.parametrize("unseen", LONG_REASONING)
def test_unseen_long_reasoning_is_denser_in_mined_grams_than_instruct_models(unseen, real_data):
    """Share of the bytes inside an occurrence, of a model that was not mined."""

    def solutions(*models):
        files = (real_data / "traces" / f"{model}.jsonl" for model in models)
        return [json.loads(line)["completion"] for file in files for line in file.open()]

    grams = mine_strategic_grams(solutions(*(model for model in LONG_REASONING if model != unseen)))
    matcher = GramMatcher(grams)

    def density(texts):
        inside = total = 0
        for text in texts:
            covered = np.zeros(len(text.encode()), dtype=bool)
            for start, end in matcher.find_in_text(text)[:, 3:]:
                covered[start:end] = True
            inside, total = inside + covered.sum(), total + covered.size
        return inside / total

    assert density(solutions(unseen)) > 0.03
    assert density(solutions(unseen)) >= 1.8 * density(solutions(*INSTRUCT))
