"""How well lexicons separate planning from execution on real traces, each judged on a model it was not mined from.

    python benchmarks/lexicons.py --long a.jsonl b.jsonl c.jsonl --instruct d.jsonl e.jsonl

Every file has the traces of one model, one JSON object a line with `id`, `model` and `completion`. For each of the
models with long reasoning, a lexicon is mined from the others and judged on it:

* strategic, procedural: share of the characters of strategic (initialising, uncertainty, backtracking) and of other
  sentences (deduction, knowledge, examples) inside a gram; ratio. Sentences are those that
  data/sentence_functions.tsv labels: a letter for each sentence from `first_sentence` on, by function.
* long, instruct: the same share in all traces of the model, and in those of the instruct models; ratio.
* opens: share of the occurrences that begin a sentence.
"""

import argparse
import csv
import json
import os
import re
from pathlib import Path

import numpy as np


os.environ.setdefault("TQDM_DISABLE", "1")

from hicra_trl.grams import GramMatcher, MiningConfig, StrategicGrams, mine_strategic_grams
from hicra_trl.grams.coverage import in_characters, measure
from hicra_trl.grams.matcher import covered


LABELS = Path(__file__).parent / "data" / "sentence_functions.tsv"
STRATEGIC = "iub"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
VARIANTS = {
    "default": MiningConfig(),
    "default, seed 1": MiningConfig(seed=1),
    "default, seed 2": MiningConfig(seed=2),
    "all n-grams, however formulaic": MiningConfig(drop_formulaic=0.0),
    "no short clauses": MiningConfig(short_clauses=False),
    "no common clusters": MiningConfig(common=None),
    "ranked by cluster DF": MiningConfig(rank_by="cluster", common=0.2),
    "term ratio at most 2": MiningConfig(max_term_ratio=2.0),
    "no clustering": MiningConfig(clustering="none", common=None),
    "preset paper": MiningConfig.paper(),
    "preset paper, term ratio at most 1.5": MiningConfig.paper(max_term_ratio=1.5),
    "preset paper, drop_formulaic 0.35": MiningConfig.paper(drop_formulaic=0.35),
}


def read_traces(file: str) -> tuple[str, dict[int, str]]:
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    return rows[0]["model"], {row["id"]: row["completion"] for row in rows}


def labelled_sentences(traces: dict[str, dict[int, str]]) -> dict[str, list[tuple[str, bool]]]:
    """Sentences by model, and whether each is strategic."""
    found: dict[str, list[tuple[str, bool]]] = {model: [] for model in traces}
    with LABELS.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if row["model"] not in traces:
                continue
            thinking = traces[row["model"]][int(row["id"])].split("</think>")[0].replace("<think>", "")
            sentences = [part for part in SENTENCE_END.split(thinking) if part.strip()]
            first = int(row["first_sentence"])
            for sentence, function in zip(sentences[first:], row["functions"]):
                found[row["model"]].append((sentence, function in STRATEGIC))
    return found


def share(grams: StrategicGrams, texts: list[str]) -> float:
    return measure(grams, texts).planning_fraction


def opening(grams: StrategicGrams, texts: list[str]) -> float:
    """Share of the occurrences that begin a sentence."""
    matcher, opens, total = GramMatcher(grams), 0, 0
    for text in texts:
        for sentence in SENTENCE_END.split(text):
            spans = in_characters(sentence, matcher.find_in_text(sentence))
            begin = len(sentence) - len(sentence.lstrip(" *-#>"))
            runs = covered(spans, len(sentence))
            opens += int(runs[begin : begin + 1].any())
            total += int(np.count_nonzero(np.diff(runs.astype(int), prepend=0) == 1))
    return opens / max(total, 1)


def judge(grams_for: dict[str, StrategicGrams], long, instruct, sentences) -> list[float]:
    """Means over the models of: grams, strategic, procedural, long, instruct, opens."""
    rows = []
    for model, grams in grams_for.items():
        parts = [[text for text, strategic in sentences[model] if strategic is wanted] for wanted in (True, False)]
        texts = list(long[model].values())
        others = [text for traces in instruct.values() for text in traces.values()]
        shares = [share(grams, part) for part in (*parts, texts, others)]
        rows.append([len(grams), *shares, opening(grams, texts)])
    return np.mean(rows, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", nargs="+", required=True, help="traces of models with long reasoning, a file each")
    parser.add_argument("--instruct", nargs="+", required=True, help="traces of instruct models, a file each")
    parser.add_argument("--work_folder", help="where intermediate results are kept")
    args = parser.parse_args()
    long, instruct = (dict(map(read_traces, files)) for files in (args.long, args.instruct))
    sentences = labelled_sentences(long)
    print(
        f"{sum(map(len, sentences.values()))} labelled sentences, {len(long)} models held out in turn; means over them"
    )
    print(
        f"{'lexicon':38}{'grams':>6}{'strategic':>11}{'procedural':>11}{'ratio':>7}{'long':>8}{'instruct':>9}{'ratio':>7}{'opens':>7}"
    )
    for name in ("the paper's list", *VARIANTS):
        grams_for = {}
        for model in long:
            others = [text for other, traces in long.items() if other != model for text in traces.values()]
            grams_for[model] = (
                mine_strategic_grams(others, VARIANTS[name], work_folder=args.work_folder)
                if name in VARIANTS
                else StrategicGrams.paper()
            )
        size, strategic, procedural, in_long, in_instruct, opens = judge(grams_for, long, instruct, sentences)
        print(
            f"{name:38}{size:6.0f}{strategic:11.1%}{procedural:11.1%}{strategic / procedural:7.2f}"
            f"{in_long:8.1%}{in_instruct:9.1%}{in_long / in_instruct:7.2f}{opens:7.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
