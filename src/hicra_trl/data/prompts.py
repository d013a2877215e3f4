"""Prompts and gold answers from any dataset, mapped to the columns that TRL and the rewards read."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset

from ..fields import Checked, Count, Share
from ..rewards.boxed import BOXED_INSTRUCTION
from .decontamination import COVERAGE, NGRAM
from .mixture import drop_overlaps, mix
from .paper_datasets import find_known, read_known
from .rows import GOLD_COLUMNS, PROMPT_COLUMNS, as_gold, as_prompt, find_column, read_rows


@dataclass
class DataArguments(Checked):
    """
    Where prompts come from and how they are put.

    Args:
        dataset_name (`str`):
            A JSONL or parquet file, or a dataset on the Hub. The paper's training sets have short names: `dapo`,
            `deepscaler` and `virl39k`. They, and their repositories, need no columns to be named, lose repeated and
            unusable rows, and keep no other columns. In a recipe, `playground`, `orders` and `sums` are problems
            that are made when the run begins.
        extra_datasets (`list[str]`, *optional*):
            More such datasets to train on, put one behind the other. A problem that comes again is then taken once,
            and not at all if its gold answers differ.
        dataset_path (`list[str]`, *optional*):
            A file or folder for each of `dataset_name` and `extra_datasets`, in this order, to read instead of the
            Hub: the same dataset from another place.
        dataset_config (`str`, *optional*):
            Configuration of `dataset_name` on the Hub. `dapo` has `"all"`, which is its default, `"en"` and `"cn"`.
        dataset_split (`str`, *optional*, defaults to `"train"`):
            Split to train on.
        decontaminate (`list[str]`, *optional*):
            Benchmarks, as files or datasets on the Hub (`user/dataset` or `user/dataset:config`, of these all splits):
            prompts that overlap with one of their problems are dropped.
        decontaminate_ngram (`int`, *optional*, defaults to `8`):
            Words of the n-grams that a prompt and a problem are compared by.
        decontaminate_coverage (`float`, *optional*, defaults to `0.5`):
            Share of the words of a prompt, or of a problem, that have to lie in n-grams of both. 0 drops every prompt
            that shares a single n-gram, which most often is a common phrase.
        eval_dataset_name (`str`, *optional*):
            Dataset to evaluate on during training, with `eval_strategy`. Defaults to `dataset_name`.
        eval_dataset_split (`str`, *optional*):
            Split to evaluate on. Defaults to `train` for a file, which has no other, and to `test` on the Hub.
        prompt_column (`str`, *optional*):
            Column of the problems. Defaults to the first of `prompt`, `problem`, `question` that is there.
        gold_column (`str`, *optional*):
            Column of the gold answers. Defaults to the first of `answer`, `solution` that is there.
        gold_marker (`str`, *optional*):
            Keep of each gold answer only what follows the last marker: `"####"` for GSM8K.
        prompt_format (`Literal["chat", "text"]`, *optional*, defaults to `"chat"`):
            How a problem of plain text becomes a prompt: `"chat"` makes it a user turn, `"text"` leaves it as it is.
        instruction (`str`, *optional*):
            Appended to each problem of plain text, after an empty line. Defaults to asking for the answer in
            `\\boxed{}`; empty for none. A column named `prompt` is taken as it is: without instruction, and a plain
            one stays plain.
    """

    dataset_name: str | None = None
    extra_datasets: list[str] = field(default_factory=list)
    dataset_path: list[str] = field(default_factory=list)
    dataset_config: str | None = None
    dataset_split: str = "train"
    decontaminate: list[str] = field(default_factory=list)
    decontaminate_ngram: Count = NGRAM
    decontaminate_coverage: Share = COVERAGE
    eval_dataset_name: str | None = None
    eval_dataset_split: str | None = None
    prompt_column: str | None = None
    gold_column: str | None = None
    gold_marker: str | None = None
    prompt_format: Literal["chat", "text"] = "chat"
    instruction: str = BOXED_INSTRUCTION

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset_path and len(self.dataset_path) != len(self.dataset_names):
            raise ValueError(
                f"dataset_path must have a path for each of {self.dataset_names}, got {len(self.dataset_path)}"
            )
        # Of a run, also the datasets that its own fields name.
        named = [getattr(self, f.name) for f in fields(self) if f.name.endswith("dataset_name")]
        read = {*named, *self.extra_datasets} - {None}
        given = [name for name in ("prompt_column", "gold_column", "gold_marker") if getattr(self, name) is not None]
        if read and given and all(find_known(name) for name in read):
            raise ValueError(f"{' and '.join(given)}: the columns of {', '.join(sorted(read))} are known")
        if len(set(self.dataset_names)) != len(self.dataset_names):
            raise ValueError(f"expected each dataset once, got {self.dataset_names}")

    @property
    def dataset_names(self) -> list[str]:
        """All datasets to train on, in order."""
        return [name for name in (self.dataset_name, *self.extra_datasets) if name is not None]


def load_training_prompts(args: DataArguments) -> Dataset:
    """
    Loads everything that `args` trains on: all datasets, one behind the other, without what benchmarks have too.

    Args:
        args ([`DataArguments`]):
            What to load, and how to read it.

    Returns:
        [`~datasets.Dataset`]: as [`load_prompts`] returns it.

    Raises:
        `ValueError`: as in [`load_prompts`], and if no prompt is left.
    """
    if not args.dataset_names:
        raise ValueError("no dataset_name: expected a .jsonl or .parquet file or a dataset on the Hub")
    parts = [load_prompts(name, args.dataset_split, args) for name in args.dataset_names]
    prompts = parts[0] if len(parts) == 1 else mix(parts, args.dataset_names, _tail(args))
    if not args.decontaminate:
        return prompts
    return drop_overlaps(
        prompts, args.decontaminate, args.decontaminate_ngram, args.decontaminate_coverage, _tail(args)
    )


def load_prompts(name: str, split: str, args: DataArguments) -> Dataset:
    """
    Loads a dataset and maps it to the columns `prompt` and `solution`; other columns stay.

    Args:
        name (`str`):
            A JSONL or parquet file, a dataset on the Hub, or the short name of one of the paper's.
        split (`str`):
            Split to load.
        args ([`DataArguments`]):
            How to read it.

    Returns:
        [`~datasets.Dataset`]: with `prompt` (text or conversation) and `solution` (the gold answer, a string). Of the
            paper's datasets nothing else stays but the `images` of ViRL39K, which TRL puts before the text.

    Raises:
        `ValueError`: if there is no such dataset or split, a file is broken, a column is missing or a row has no gold
            answer; the message says what was got and what was expected.
    """
    path = dict(zip(args.dataset_names, args.dataset_path)).get(name)
    config = args.dataset_config if name == args.dataset_name else None
    known = find_known(name)
    if known:
        dataset = read_known(*known, split, config, path)
        prompt, gold, marker = "problem", "solution", None
    else:
        dataset = read_rows(path or name, split, config)
        prompt = find_column(dataset.column_names, args.prompt_column, PROMPT_COLUMNS, "problems", name)
        gold = find_column(dataset.column_names, args.gold_column, GOLD_COLUMNS, "gold answers", name)
        marker = args.gold_marker
    # Only plain values go into the function: its hash then is the same in every process, and the cache serves all.
    if not len(dataset):
        raise ValueError(f"{name} has no rows")
    tail, chat = _tail(args), args.prompt_format == "chat"
    if not chat and "images" in dataset.column_names:
        raise ValueError(f"{name} has images: expected prompt_format 'chat', got 'text'")
    taken = {prompt, gold, "prompt", "solution"} & set(dataset.column_names)

    def to_prompt(row: dict[str, Any], index: int) -> dict[str, Any]:
        problem = as_prompt(row[prompt], f"{name}, row {index}, {prompt!r}")
        if isinstance(problem, str) and prompt != "prompt":
            problem = [{"role": "user", "content": problem + tail}] if chat else problem + tail
        return {"prompt": problem, "solution": as_gold(row[gold], f"{name}, row {index}, {gold!r}", marker)}

    return dataset.map(to_prompt, with_indices=True, remove_columns=sorted(taken), desc=f"Reading {Path(name).name}")


def _tail(args: DataArguments) -> str:
    return f"\n\n{args.instruction}" if args.instruction else ""
