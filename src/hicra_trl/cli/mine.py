"""`hicra mine`: a lexicon of strategic grams from correct solutions."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from ..fields import Checked, Count, Name
from ..grams import Corpus, CorpusArguments, MiningConfig, StrategicGrams, mine_strategic_grams
from ..grams.card import check_target
from ..grams.mining.work_folder import WorkFolder
from .lexicon import cluster_table
from .parsing import parse, run_command


PROG = "hicra mine"
PRESETS = {"default": MiningConfig, "paper": MiningConfig.paper}

DESCRIPTION = """Mines strategic grams from correct solutions: n-grams, semantic clusters, and the clusters that many
solutions use (paper, section 2.1).

  hicra mine --dataset traces.jsonl --output_dir my_grams
  hicra mine --dataset runs/mine --correct_only --output_dir my_grams
  hicra mine --dataset user/solutions --text_column generation --push_to_hub user/my-grams
  hicra mine --dataset traces/ --preset paper --output_dir papers_way

Then: hicra lexicon show my_grams, and hicra train --config recipe.yaml --strategic_grams my_grams. What is done is
kept in a work folder, so that the same command goes on where it was interrupted."""


@dataclass
class MineArguments(Checked):
    """
    Where the lexicon goes, and how the work is done.

    Args:
        output_dir (`str`, *optional*, defaults to `"strategic_grams"`):
            Folder of the lexicon.
        preset (`Literal["default", "paper"]`, *optional*, defaults to `"default"`):
            `"default"`, or `"paper"` for the paper's three steps literally. Fields set beside it win.
        num_proc (`int`, *optional*, defaults to `1`):
            Processes that count.
        work_folder (`str`, *optional*):
            Where intermediate results are kept. Defaults to `<output_dir>.work`, which goes when the lexicon is there.
        push_to_hub (`str`, *optional*):
            Publish the lexicon as this dataset, `user/name`.
        private (`bool`, *optional*, defaults to `False`):
            Make a new dataset on the Hub private.
        license (`str`, *optional*, defaults to `"apache-2.0"`):
            Licence in the dataset's card.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print the settings and the first solution, and stop.
    """

    output_dir: Name = "strategic_grams"
    preset: Literal["default", "paper"] = "default"
    num_proc: Count = 1
    work_folder: Name | None = None
    push_to_hub: Name | None = None
    private: bool = False
    license: str = "apache-2.0"
    dry_run: bool = False


def run(argv: list[str]) -> int:
    """Mines a lexicon and returns the exit status."""
    types = (CorpusArguments, MineArguments, MiningConfig)
    preset = parse(types, argv, PROG)[1].preset
    return run_command(PROG, types, argv, mine, defaults=vars(PRESETS[preset]()))


def mine(corpus_args: CorpusArguments, args: MineArguments, config: MiningConfig) -> None:
    """Mines a lexicon, saves it, and publishes it if asked to."""
    corpus = Corpus(corpus_args)
    if args.dry_run:
        print(plan(corpus, args, config))
        return
    check_target(Path(args.output_dir))
    folder = args.work_folder or f"{os.path.normpath(args.output_dir)}.work"
    with WorkFolder(folder, is_removed=args.work_folder is None):
        grams = mine_strategic_grams(corpus, config, num_proc=args.num_proc, work_folder=folder)
        grams.save(args.output_dir)
    print(summary(grams))
    print(f"\n{len(grams)} strategic grams, fingerprint {grams.fingerprint}: {args.output_dir}")
    if args.push_to_hub:
        try:
            revision = grams.push_to_hub(args.push_to_hub, args.private, args.license)
        except ValueError as error:
            raise ValueError(
                f"{error}; the lexicon is in {args.output_dir}, and 'hicra lexicon push' publishes it from there"
            ) from error
        print(f"published: {args.push_to_hub}@{revision}")


def summary(grams: StrategicGrams) -> str:
    """What mining found, for a reader: the counts on the way, and the first clusters."""
    corpus, counts = grams.provenance["corpus"], grams.provenance["counts"]
    lines = [f"{corpus['solutions']:,} solutions ({corpus['duplicates']:,} duplicates left out)"]
    if "incorrect" in corpus:
        lines[0] = lines[0][:-1] + f", {corpus['incorrect']:,} incorrect ones too)"
    if "empty" in corpus:
        lines.append(f"{corpus['empty']:,} rows without a text were left out")
    lines += [
        f"{counts['n-grams in enough solutions']:,} n-grams in at least {counts['enough solutions']:,} solutions, "
        f"{counts['n-grams clustered']:,} of them clustered",
        f"{counts['clusters']:,} clusters, {counts['clusters kept']:,} of them kept; the first are",
        cluster_table(grams, 10, 5),
    ]
    return "\n".join(lines)


def plan(corpus: Corpus, args: MineArguments, config: MiningConfig) -> str:
    """What a mining would do, for a reader."""
    settings = {**vars(corpus.args), **vars(args), **vars(config)}
    first = " ".join(next(iter(corpus)).split())
    shown = yaml.safe_dump({name: value for name, value in settings.items() if value is not None}, sort_keys=False)
    return f"{shown}\nfirst solution: {first[:300]}{'...' if len(first) > 300 else ''}"
