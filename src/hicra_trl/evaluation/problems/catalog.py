"""The benchmarks of the paper, each as the facts that loading it takes.

Where the paper leaves something open (ids, splits, columns), the choice stands in the entry's `note`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Benchmark:
    r"""
    Where a benchmark's items come from and how they are read.

    A column inside another is written with a dot: `reward_model.ground_truth`. Of several columns in a `*_column`
    field the first one that is there counts.

    Args:
        name (`str`):
            Name on the command line and in results.
        dataset (`str`):
            A dataset on the Hub, a folder that is laid out like one, or a `.jsonl`, `.json` or `.parquet` file.
        config (`tuple[str, ...]`, *optional*):
            Configurations to concatenate. A file has none.
        split (`str`, *optional*, defaults to `"test"`):
            Split. A file has none.
        revision (`str`, *optional*):
            Branch, tag or commit on the Hub.
        problem_column (`tuple[str, ...]`):
            Column of the problems.
        empty_problem (`str`, *optional*):
            What stands for an empty problem. Without it, an empty problem is an error.
        context_column (`str`, *optional*):
            Column of texts that go before the problem.
        unit_column (`str`, *optional*):
            Column of units; the problem then names the unit of its answer.
        gold_column (`tuple[str, ...]`):
            Column of the gold answers: texts, numbers, or lists of one of them.
        gold_marker (`str`, *optional*):
            Keep of each gold answer only what follows the last marker: `####` for GSM8K.
        solution_column (`str`, *optional*, defaults to `"solution"`):
            Column of worked solutions: without a column of gold answers, their last boxes are the gold answers.
        choices_column (`str`, *optional*):
            Column with the options of multiple-choice questions, empty for other questions.
        choice_gold (`str`, *optional*, defaults to `"letter"`):
            Whether the gold answer of a multiple-choice question is its option's `"letter"` or `"text"`.
        choice_instruction (`str`, *optional*):
            Ends the problem of a multiple-choice question.
        kind_column (`str`, *optional*):
            Column that says which questions are multiple choice where options stand inside the problems.
        precision_column (`str`, *optional*):
            Column with the number of decimals that count; the problem then asks for them.
        tolerance_column (`str`, *optional*):
            Column of absolute tolerances.
        absolute_tolerance (`float`, *optional*, defaults to `0.0`):
            Absolute tolerance of items that have none of their own.
        relative_tolerance (`float`, *optional*, defaults to `0.0`):
            Relative tolerance of all items.
        image_columns (`tuple[str, ...]`, *optional*):
            All columns of images, in the order in which the problem numbers them.
        id_column (`tuple[str, ...]`):
            Column of ids. Where there is none, an item's id is the number of its row.
        group_column (`str`, *optional*):
            Column of the part that an item belongs to; results are also reported by part.
        filter (`str`, *optional*):
            `COLUMN=VALUE|VALUE`: only rows with one of these values.
        num_samples (`int`, *optional*, defaults to `1`):
            Completions to sample for each item.
        note (`str`, *optional*):
            What was decided for this benchmark.
    """

    name: str
    dataset: str
    config: tuple[str, ...] = ()
    split: str = "test"
    revision: str | None = None
    problem_column: tuple[str, ...] = ("problem", "question", "prompt")
    empty_problem: str | None = None
    context_column: str | None = None
    unit_column: str | None = None
    gold_column: tuple[str, ...] = ("answer", "final_answer")
    gold_marker: str | None = None
    solution_column: str | None = "solution"
    choices_column: str | None = None
    choice_gold: Literal["letter", "text"] = "letter"
    choice_instruction: str = "Answer with the letter of the right option."
    kind_column: str | None = None
    precision_column: str | None = None
    tolerance_column: str | None = None
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
    image_columns: tuple[str, ...] = ()
    id_column: tuple[str, ...] = ("id", "unique_id", "pid", "idx")
    group_column: str | None = None
    filter: str | None = None
    num_samples: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        if not self.dataset:
            raise ValueError(f"{self.name} has no dataset: expected a .jsonl or .parquet file or a dataset on the Hub")
        if not self.problem_column:
            raise ValueError(f"{self.name}.problem_column must name a column, got none")
        if not (self.gold_column or self.solution_column):
            raise ValueError(f"{self.name}.gold_column or solution_column must name a column, got none")
        if self.num_samples < 1:
            raise ValueError(f"{self.name}.num_samples must be at least 1, got {self.num_samples}")
        for field in ("absolute_tolerance", "relative_tolerance"):
            if not 0 <= getattr(self, field) < float("inf"):
                raise ValueError(f"{self.name}.{field} must be 0 or more, got {getattr(self, field)}")
        if self.choice_gold not in ("letter", "text"):
            raise ValueError(f"{self.name}.choice_gold must be letter or text, got {self.choice_gold!r}")
        if self.filter and "=" not in self.filter:
            raise ValueError(f"{self.name}.filter must be COLUMN=VALUE, got {self.filter!r}")


# The AIME files in circulation name their columns differently; the last candidates are those of DAPO's copy.
_AIME_PROBLEM = ("problem", "question", "Problem", "extra_info.raw_problem")
_AIME_GOLD = ("answer", "Answer", "reward_model.ground_truth")
_AIME_ID = ("id", "ID")

_ENTRIES = (
    Benchmark(
        name="aime24",
        dataset="HuggingFaceH4/aime_2024",
        split="train",
        problem_column=_AIME_PROBLEM,
        gold_column=_AIME_GOLD,
        id_column=_AIME_ID,
        num_samples=32,
        note="Both papers of 2024, 30 problems; golds keep their leading zeros, which grading ignores.",
    ),
    Benchmark(
        name="aime25",
        dataset="yentinglin/aime_2025",
        split="train",
        problem_column=_AIME_PROBLEM,
        gold_column=_AIME_GOLD,
        id_column=_AIME_ID,
        num_samples=32,
        note="Both papers of 2025, 30 problems. Copies with one configuration for each paper need both in config.",
    ),
    Benchmark(
        name="math500",
        dataset="HuggingFaceH4/MATH-500",
        id_column=("unique_id", "id"),
        group_column="level",
        note="The 500 held-out problems of MATH; also reported by level.",
    ),
    Benchmark(
        name="amc23",
        dataset="math-ai/amc23",
        problem_column=("question", "problem"),
        num_samples=4,
        note="40 problems of the AMC 12 of 2023, all with integer answers; a gold of 27.0 is read as 27.",
    ),
    Benchmark(
        name="minerva",
        dataset="math-ai/minervamath",
        problem_column=("question", "problem"),
        id_column=("id", "idx"),
        note="272 problems from MIT courses; without an answer column the gold is the solution's last box. "
        "No numeric tolerance.",
    ),
    Benchmark(
        name="olympiadbench",
        dataset="Hothan/OlympiadBench",
        config=("OE_TO_maths_en_COMP",),
        split="train",
        problem_column=("question", "problem"),
        context_column="context",
        gold_column=("final_answer", "answer"),
        solution_column=None,
        tolerance_column="error",
        note="Open-ended English competition mathematics without images, 674 problems. Answers leave out the unit; "
        "a problem's own error bound is its absolute tolerance.",
    ),
    Benchmark(
        name="mathvista",
        dataset="AI4Math/MathVista",
        split="testmini",
        problem_column=("question",),
        unit_column="unit",
        gold_column=("answer",),
        solution_column=None,
        choices_column="choices",
        choice_gold="text",
        precision_column="precision",
        image_columns=("decoded_image",),
        id_column=("pid",),
        note="testmini, 1,000 questions; problems name unit and decimals; an option's letter or its text is right.",
    ),
    Benchmark(
        name="mathverse",
        dataset="AI4Math/MathVerse",
        config=("testmini",),
        split="testmini",
        problem_column=("question",),
        empty_problem="The question is shown in the image.",
        gold_column=("answer",),
        solution_column=None,
        kind_column="question_type",
        image_columns=("image",),
        id_column=("sample_index",),
        group_column="problem_version",
        note="All five versions of testmini, 3,940 questions, also reported by version; of Vision Only the question "
        "is in the image alone. Options stand in the question or the image, and only their letter is right.",
    ),
    Benchmark(
        name="mathvision",
        dataset="MathLLMs/MathVision",
        problem_column=("question",),
        gold_column=("answer",),
        solution_column=None,
        choices_column="options",
        image_columns=("decoded_image",),
        id_column=("id",),
        note="The whole test split, 3,040 questions; the image stands where the question mentions it.",
    ),
    Benchmark(
        name="emma",
        dataset="luckychao/EMMA",
        config=("Math", "Physics", "Chemistry", "Coding"),
        problem_column=("question",),
        context_column="context",
        gold_column=("answer",),
        solution_column=None,
        choices_column="options",
        image_columns=("image_1", "image_2", "image_3", "image_4", "image_5"),
        id_column=("pid",),
        group_column="subject",
        note="All four subjects, 2,788 questions, also reported by subject; images stand where they are mentioned, "
        "and those never mentioned are left out.",
    ),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ENTRIES}
