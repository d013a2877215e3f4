"""Prompts and gold answers from any dataset, mapped to the columns that TRL and the rewards read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from pyarrow import ArrowInvalid


PROMPT_COLUMNS = ("prompt", "problem", "question")
# Where a dataset has both, `solution` is a worked solution and `answer` what it ends on.
GOLD_COLUMNS = ("answer", "solution")
BOXED_INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
_BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass
class DataArguments:
    """
    Where prompts come from and how they are put.

    Args:
        dataset_name (`str`):
            A JSONL or parquet file, or a dataset on the Hub.
        dataset_config (`str`, *optional*):
            Configuration of a dataset on the Hub.
        dataset_split (`str`, *optional*, defaults to `"train"`):
            Split to train on.
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
        prompt_format (`str`, *optional*, defaults to `"chat"`):
            How a problem of plain text becomes a prompt: `"chat"` makes it a user turn, `"text"` leaves it as it is.
        instruction (`str`, *optional*):
            Appended to each problem of plain text, after an empty line. Defaults to asking for the answer in
            `\\boxed{}`; empty for none. A column named `prompt` is taken as it is: without instruction, and a plain
            one stays plain.
    """

    dataset_name: str | None = field(
        default=None, metadata={"help": "A JSONL or parquet file, or a dataset on the Hub."}
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a dataset on the Hub."})
    dataset_split: str = field(default="train", metadata={"help": "Split to train on."})
    eval_dataset_name: str | None = field(
        default=None,
        metadata={"help": "Dataset to evaluate on during training (with eval_strategy). Default: dataset_name."},
    )
    eval_dataset_split: str | None = field(
        default=None, metadata={"help": "Split to evaluate on. Default: 'train' for a file, 'test' on the Hub."}
    )
    prompt_column: str | None = field(
        default=None, metadata={"help": "Column of the problems. Default: prompt, problem or question."}
    )
    gold_column: str | None = field(
        default=None, metadata={"help": "Column of the gold answers. Default: answer or solution."}
    )
    gold_marker: str | None = field(
        default=None,
        metadata={"help": "Keep of each gold answer what follows the last marker, such as '####' for GSM8K."},
    )
    prompt_format: Literal["chat", "text"] = field(
        default="chat", metadata={"help": "'chat' makes a plain problem a user turn, 'text' leaves it plain."}
    )
    instruction: str = field(
        default=BOXED_INSTRUCTION,
        metadata={"help": "Appended to each plain problem; empty for none. A column named prompt is left alone."},
    )


def load_prompts(name: str, split: str, args: DataArguments) -> Dataset:
    """
    Loads a dataset and maps it to the columns `prompt` and `solution`; other columns stay.

    Args:
        name (`str`):
            A JSONL or parquet file, or a dataset on the Hub.
        split (`str`):
            Split to load.
        args ([`DataArguments`]):
            How to read it.

    Returns:
        [`~datasets.Dataset`]: with `prompt` (text or conversation) and `solution` (the gold answer, a string).

    Raises:
        `ValueError`: if there is no such dataset or split, a file is broken, a column is missing or a row has no gold
            answer; the message says what was got and what was expected.
    """
    dataset = _load(name, split, args.dataset_config)
    prompt = _column(dataset, args.prompt_column, PROMPT_COLUMNS, "problems", name)
    gold = _column(dataset, args.gold_column, GOLD_COLUMNS, "gold answers", name)
    taken = {prompt, gold, "prompt", "solution"} & set(dataset.column_names)
    # Only plain values go into the function: its hash then is the same in every process, and the cache serves all.
    tail = f"\n\n{args.instruction}" if args.instruction else ""
    chat, marker = args.prompt_format == "chat", args.gold_marker

    def to_prompt(row: dict[str, Any], index: int) -> dict[str, Any]:
        problem = row[prompt]
        if isinstance(problem, str) and prompt != "prompt":
            problem = [{"role": "user", "content": problem + tail}] if chat else problem + tail
        return {"prompt": problem, "solution": _gold(row[gold], marker, f"{name}, row {index}, {gold!r}")}

    return dataset.map(to_prompt, with_indices=True, remove_columns=sorted(taken), desc=f"Reading {Path(name).name}")


def _load(name: str, split: str, config: str | None) -> Dataset:
    suffix = Path(name).suffix
    try:
        if Path(name).is_file():
            if suffix not in _BUILDERS:
                raise ValueError(f"dataset file {name} must end in .jsonl, .json or .parquet, got {suffix!r}")
            return load_dataset(_BUILDERS[suffix], data_files=name, split=split)
        if suffix in _BUILDERS:
            raise ValueError(f"no dataset file at {name}")
        return load_dataset(name, config, split=split)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(f"no dataset {name!r}: expected a .jsonl or .parquet file or a dataset on the Hub") from error
    except (DatasetGenerationError, ArrowInvalid) as error:
        raise ValueError(f"cannot read {name}: {error.__cause__ or error}") from error


def _column(dataset: Dataset, given: str | None, candidates: tuple[str, ...], what: str, name: str) -> str:
    wanted = (given,) if given else candidates
    for column in wanted:
        if column in dataset.column_names:
            return column
    raise ValueError(f"{name} has no column of {what}: expected {' or '.join(wanted)}, got {dataset.column_names}")


def _gold(value: Any, marker: str | None, where: str) -> str:
    if value is None or isinstance(value, list | dict):
        raise ValueError(f"{where}: expected a gold answer (text or number), got {value!r}")
    gold = str(value)
    if marker:
        if marker not in gold:
            raise ValueError(f"{where}: expected the marker {marker!r} in the gold answer, got {gold[-60:]!r}")
        gold = gold.rsplit(marker, 1)[1]
    if not gold.strip():
        raise ValueError(f"{where}: the gold answer is empty")
    return gold.strip()
