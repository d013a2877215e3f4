"""Counting through datatrove gives the lexicon that one process gives."""

import pytest
from datatrove.executor import LocalPipelineExecutor

from hicra_trl.grams import MiningConfig, mine_strategic_grams, prepare_counting
from hicra_trl.grams.mining import ngrams
from hicra_trl.grams.mining.distributed import CountBlocks, LocateBlocks


@pytest.fixture
def solutions():
    moves = ("let's try another way", "but wait", "so we can use the formula", "going back to the start")
    return [f"{moves[i % 4]}, {moves[(i + 1) % 3]} with part number {i}. Then {i} apples." for i in range(40)]


def test_tasks_of_datatrove_count_what_one_process_counts(solutions, tmp_path, monkeypatch):
    monkeypatch.setattr(ngrams, "BLOCK_SOLUTIONS", 8)
    config = MiningConfig(clustering="none", top_clusters=1.0)
    work = tmp_path / "work"
    counting = prepare_counting(solutions, config, work)
    assert len(counting.names) == 5
    for step in (CountBlocks(counting), LocateBlocks(counting)):
        logs = str(tmp_path / type(step).__name__)
        LocalPipelineExecutor([step], tasks=3, workers=1, logging_dir=logs).run()
    assert sorted(path.name for path in work.iterdir() if path.is_dir() and any(path.iterdir()))[0].startswith(
        "counts"
    )
    monkeypatch.setattr("hicra_trl.grams.mining.counting.count", None)
    monkeypatch.setattr("hicra_trl.grams.mining.counting.locate", None)
    grams = mine_strategic_grams(solutions, config, work_folder=work)
    monkeypatch.undo()
    assert grams == mine_strategic_grams(solutions, config)
    assert "let's try another" in grams
