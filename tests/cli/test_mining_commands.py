"""`hicra mine` and `hicra lexicon`, as a user calls them."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from datasets import load_dataset

from hicra_trl.cli.main import main
from hicra_trl.grams import StrategicGrams
from hicra_trl.grams.mining.work_folder import WorkFolder
from hicra_trl.training.runs.gram_outcomes import GramOutcome, add_gram_outcomes


MOVES = ("let me try another way", "but wait, that is wrong", "hold on", "so we can conclude that", "step by step")


def hicra(*argv, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "hicra_trl.cli.main", *map(str, argv)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, and the lexicon that `hicra mine` makes of its correct solutions."""
    folder = tmp_path_factory.mktemp("mining")
    with (folder / "solutions.jsonl").open("w") as file:
        for i in range(60):
            text = (
                f"{MOVES[i % 5].capitalize()}. Then {i} + {i + 1} apples. {MOVES[(i + 2) % 5]}, and thing number {i}."
            )
            print(json.dumps({"completion": text, "reward": float(i % 3 > 0)}), file=file)
    done = hicra("mine", "--dataset", "solutions.jsonl", "--correct_only", "--output_dir", "mined", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def test_mining_prints_counts_and_clusters_and_leaves_a_dataset(folder):
    printed = (folder / "printed.txt").read_text()
    assert "40 solutions (0 duplicates left out, 20 incorrect ones too)" in printed
    grams = StrategicGrams.load(folder / "mined")
    assert f"{len(grams)} strategic grams, fingerprint {grams.fingerprint}: mined" in printed
    assert {"hold on", "step by step"} <= set(grams)
    assert grams.provenance["corpus"] == {
        "dataset": "solutions.jsonl",
        "read": 60,
        "incorrect": 20,
        "correct_threshold": 1.0,
        "solutions": 40,
        "duplicates": 0,
    }
    assert not (folder / "mined.work").exists()
    rows = load_dataset(str(folder / "mined"), split="train")
    assert rows["gram"] == list(grams)
    assert all(gram in " ".join(example.lower().split()) for gram, example in zip(rows["gram"], rows["example"]))


def test_the_paper_preset_is_a_default_that_flags_and_recipes_override(folder):
    recipe = folder / "mining.yaml"
    recipe.write_text("dataset: solutions.jsonl\npreset: paper\ntop_clusters: 0.5\n")
    done = hicra("mine", "--config", recipe, "--min_n", 2, "--dry_run", cwd=folder)
    assert done.returncode == 0, done.stderr
    for line in (
        "short_clauses: false",
        "rank_by: cluster",
        "top_clusters: 0.5",
        "min_n: 2",
        "first solution: Let me",
    ):
        assert line in done.stdout
    assert not (folder / "strategic_grams").exists()


def test_an_interrupted_mining_goes_on(folder):
    flags = ("mine", "--dataset", "solutions.jsonl", "--output_dir", "again")
    stopped = hicra(*flags, "--embedding_model", "nowhere", cwd=folder)
    assert stopped.returncode == 2 and "hicra mine: no embedding model 'nowhere'" in stopped.stderr
    counts = next((folder / "again.work").glob("counts-*/*.npy"))
    before = counts.stat().st_mtime_ns
    done = hicra(*flags, "--work_folder", "again.work", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert counts.stat().st_mtime_ns == before


def test_showing_a_lexicon(folder):
    done = hicra("lexicon", "show", "mined", "--top", 2, "--dataset", "solutions.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "rank  solutions  grams\n   1" in done.stdout and "\n   3" not in done.stdout.split("in context")[0]
    assert "of the text of 60 solutions" in done.stdout and "\n       24  hold on" in done.stdout
    listed = hicra("lexicon", "show", "paper", "--top", 2, cwd=folder)
    assert listed.stdout.splitlines()[-1] == "## step, a good starting point is, ..."


def test_checking_a_lexicon_warns(folder):
    (folder / "odd.txt").write_text("it is so\n##\nhold on\napples, o\nso")
    done = hicra("lexicon", "check", "odd.txt", "--dataset", "solutions.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "odd.txt: 5 grams" in done.stdout and ": valid" in done.stdout
    assert "warning: 1 without any letter: '##'" in done.stdout
    assert "warning: 1 of stop words only: 'it is so'" in done.stdout
    assert "note: 3 not in the corpus: 'it is so', '##', 'apples, o'" in done.stdout
    (folder / "common.txt").write_text("hold on\n" + "\n".join(MOVES) + "\nthen\nand thing number")
    assert (
        "the lexicon covers more than 30%"
        in hicra("lexicon", "check", "common.txt", "--dataset", "solutions.jsonl", cwd=folder).stdout
    )


def test_comparing_lexicons(folder):
    (folder / "other.txt").write_text("hold on\nhold on a second\nnothing of the kind\n")
    done = hicra("lexicon", "diff", "mined", "other.txt", "--top", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "in both: 1 grams" in done.stdout and "in both: hold on\n" in done.stdout
    assert "and 67%" in done.stdout and "only in other.txt: hold on a second, ..." in done.stdout


def test_sensitivity_of_a_runs_curves(folder):
    for step in (2, 4, 6):
        texts = [" ".join(MOVES[j % 5] + "." for j in range(i, i + step)) for i in range(step)]
        path = folder / "run" / "completions" / f"completions_{step:05}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"step": step, "completion": texts}).to_parquet(path)
    StrategicGrams(MOVES).save(folder / "run" / "strategic_grams")
    done = hicra("lexicon", "sensitivity", "run", "--seeds", 2, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "30% removed with 2 seeds, 3 steps" in done.stdout and "semantic entropy" in done.stdout
    assert (folder / "run" / "sensitivity.png").stat().st_size > 10_000


OUTCOMES = [
    GramOutcome("hold on", 1200, 1000, 200, 0.5),
    GramOutcome("so", 30, 10, 20, -0.125),
    GramOutcome("等一下", 4, 4, 0, 0.25),
    GramOutcome("this isn't working", 9, 0, 9, -0.75),
]


def test_outcomes_of_a_runs_grams(folder, capsys):
    add_gram_outcomes(folder / "run", 20, [GramOutcome("so", 3, 3, 0, 0.125)])
    add_gram_outcomes(folder / "run", 40, OUTCOMES)
    run = str(folder / "run")
    assert main(["lexicon", "outcomes", run]) == 0
    head, how, _, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{run}, step 40: 4 grams") and how.startswith("s, within groups of a prompt: 1 with right")
    assert lines == [
        "    s      n  right  wrong  gram",
        "+0.50  1,200  1,000    200  hold on",
        "+0.25      4      4      0  等一下",
        "-0.12     30     10     20  so",
        "-0.75      9      0      9  this isn't working",
    ]
    assert main(["lexicon", "outcomes", run, "--top", "3"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[4:]] == [
        "on",
        "等一下",
        "all)",
        "working",
    ]
    assert main(["lexicon", "outcomes", run, "--top", "1"]) == 0
    assert capsys.readouterr().out.endswith("hold on\n... 3 more grams (--top 4 shows all)\n")
    assert main(["lexicon", "outcomes", run, "--step", "20", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row == {"step": 20, "gram": "so", "n": 3, "right": 3, "wrong": 0, "s": 0.125}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected RUN, got nothing"),
        (["RUN/nowhere"], "no gram_outcomes.parquet in RUN/nowhere: expected the folder of a run"),
        (["RUN", "--step", "3"], "no gram outcomes of step 3 in RUN: expected one of 40"),
        (["RUN/begun"], "no gram of RUN/begun has been counted yet"),
        (["RUN/broken"], "cannot read RUN/broken/gram_outcomes.parquet"),
    ],
)
def test_wrong_outcomes_get_one_line_and_status_2(argv, message, tmp_path, capsys):
    add_gram_outcomes(tmp_path, 40, OUTCOMES)
    add_gram_outcomes(tmp_path / "begun", 0, [])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "gram_outcomes.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(SystemExit) as stopped:
        main(["lexicon", "outcomes", *(part.replace("RUN", str(tmp_path)) for part in argv)])
    error = capsys.readouterr().err.replace(str(tmp_path), "RUN")
    assert (
        stopped.value.code == 2 and error.startswith(f"hicra lexicon outcomes: {message}") and error.count("\n") == 1
    ), error


WRONG = [
    (["mine", "--output_dir", "x"], "hicra mine: no dataset: expected a .jsonl or .parquet file"),
    (["mine", "--dataset", "none.jsonl"], "hicra mine: no dataset file at none.jsonl"),
    (
        ["mine", "--dataset", "solutions.jsonl", "--preset", "papers"],
        "hicra mine: argument --preset: invalid choice: 'papers'",
    ),
    (["mine", "--dataset", "solutions.jsonl", "--min_n", "9"], "hicra mine: n-grams need 1 <= min_n <= max_n <= 10"),
    (["mine", "--dataset", "solutions.jsonl", "--text_column", "t"], "has no column of solutions: expected t, got"),
    (["mine", "--dataset", "solutions.jsonl", "--num_proc", "0"], "hicra mine: num_proc must be at least 1, got 0"),
    (
        ["mine", "--dataset", "solutions.jsonl", "--sed", "1"],
        "hicra mine: unknown arguments: --sed 1 (did you mean --seed?)",
    ),
    (["mine", "--dataset", "empty.jsonl"], "hicra mine: empty.jsonl holds no solutions"),
    (["mine", "--dataset", "one.jsonl"], "hicra mine: mining needs at least 2 different solutions, got 1"),
    (["mine", "--dataset", "broken.parquet"], "hicra mine: cannot read broken.parquet"),
    (
        ["mine", "--dataset", "solutions.jsonl", "--correct_only", "--correct_threshold", "2"],
        "hicra mine: solutions.jsonl holds no correct solution: none of 60 reaches 2",
    ),
    (
        ["lexicon", "shwo", "paper"],
        "hicra lexicon: unknown action 'shwo', expected one of show, check, diff, push, "
        "sensitivity, outcomes (did you mean show?)",
    ),
    (["lexicon", "diff", "paper"], "hicra lexicon diff: expected LEXICON LEXICON, got paper"),
    (["lexicon", "show", "nowhere"], "hicra lexicon show: no strategic grams at 'nowhere'"),
    (["lexicon", "show", "paper", "--top", "0"], "hicra lexicon show: top must be at least 1, got 0"),
    (["lexicon", "sensitivity", "."], "hicra lexicon sensitivity: no strategic grams"),
    (["lexicon", "sensitivity", ".", "paper"], "hicra lexicon sensitivity: . has completions of 0 steps, expected"),
]


@pytest.mark.parametrize(("argv", "message"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_wrong_input_gets_one_line_and_status_2(argv, message, folder):
    (folder / "empty.jsonl").write_text("")
    (folder / "one.jsonl").write_text('{"text": "Only this one."}\n')
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing PAR1")
    done = hicra(*argv, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_chinese_solutions_are_mined(folder):
    with (folder / "chinese.jsonl").open("w") as file:
        for i in range(20):
            text = f"我们换一种方法试试，第{i}步。等一下，让我再检查一遍。答案是{i}。"
            print(json.dumps({"solution": text}, ensure_ascii=False), file=file)
    done = hicra("mine", "--dataset", "chinese.jsonl", "--output_dir", "chinese", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = hicra("lexicon", "check", "chinese", "--dataset", "chinese.jsonl", cwd=folder)
    assert "not in the corpus" not in shown.stdout and "can never match" not in shown.stdout


def refused(argv, cwd):
    done = hicra(*argv, cwd=cwd)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


MINE = ("mine", "--dataset", "c.jsonl", "--clustering", "none", "--output_dir")


@pytest.fixture
def corpus(tmp_path):
    texts = [f"Let me try another way. Then apples {i}." for i in range(9)]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path


@pytest.mark.parametrize("name", ["grams.work/notes.txt", "grams.work/solutions/mine.parquet", "grams/README.md"])
def test_mining_leaves_what_it_did_not_write(corpus, name):
    file = corpus / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    assert "expected" in refused([*MINE, "grams"], corpus)
    assert file.read_text() == "mine"


def test_mining_again_replaces_its_own_lexicon_unless_its_card_was_edited(corpus):
    (corpus / "grams.work").mkdir()
    for _ in range(2):
        assert hicra(*MINE, "grams", cwd=corpus).returncode == 0
    assert list((corpus / "grams.work").iterdir()) == []
    card = corpus / "grams" / "README.md"
    card.write_text(card.read_text() + "\nOf my own.\n")
    assert "not as hicra mine writes" in refused([*MINE, "grams"], corpus)
    assert "Of my own." in card.read_text()


def test_two_minings_do_not_share_a_work_folder(corpus):
    with WorkFolder(corpus / "grams.work", is_removed=True):
        assert "in use: another mining writes there" in refused([*MINE, "grams"], corpus)
    assert not (corpus / "grams.work").exists()
    with pytest.raises(RuntimeError), WorkFolder(corpus / "grams.work", is_removed=True):
        raise RuntimeError
    assert hicra(*MINE, "grams", cwd=corpus).returncode == 0
