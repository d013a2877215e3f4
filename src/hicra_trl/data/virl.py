r"""ViRL39K: questions that begin with `<image>` tokens, image files in a zip archive, gold answers in boxes.

`datasets` cannot load the repository as it is: it takes the archive for a table, and a local copy for a folder of
images without text. Left out is the place of an image within a question: TRL puts all of them before the text.
"""

import re
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HTTPError

from ..rewards import extract_boxed
from ..terminal import first_line, say
from .archives import extract_images, list_files
from .rows import as_gold, is_missing, read_folder, read_rows, require_columns


ROWS_FILE = "39Krelease.parquet"
ARCHIVE = "images.zip"
IMAGE_TOKEN = "<image>"
_TOKEN_AND_SPACE = re.compile(rf"{IMAGE_TOKEN}\s*")
_COLUMNS = ("question", "answer", "image")


def read_virl(repository: str, split: str, path: str | None) -> Dataset:
    """
    Reads ViRL39K.

    Args:
        repository (`str`):
            Where it is on the Hub.
        split (`str`):
            Split to read.
        path (`str` or `None`):
            A folder with the parquet file and either `images.zip` or the extracted `images/`, or that parquet file;
            `None` for the Hub.

    Returns:
        [`~datasets.Dataset`]: with `problem` (without `<image>`), `solution` (without its box) and `images`, of which
            each is decoded when its row is read.

    Raises:
        `ValueError`: if it is not there, an image is missing, or no row is left.
    """
    rows, folder = _download(repository, split) if path is None else _open(Path(path), split)
    keep = _usable_rows(rows, list_files(folder), folder)
    root = str(folder)

    def to_row(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "problem": _TOKEN_AND_SPACE.sub("", row["question"]).strip(),
            "solution": unboxed(as_gold(row["answer"], "virl39k"), "virl39k"),
            "images": [f"{root}/{_file_name(name)}" for name in row["image"] or []],
        }

    # Said here and not inferred: of files, an image is its path until a row is read.
    features = Features({"problem": Value("string"), "solution": Value("string"), "images": List(Image())})
    usable = rows.select(keep)
    return usable.map(to_row, remove_columns=rows.column_names, features=features, desc="Reading virl39k")


def unboxed(gold: str, where: str) -> str:
    r"""
    What a gold answer has in its box; the gold answer itself where it has none.

    Example:

    ```python
    >>> unboxed(r"\boxed{\frac{1}{2}}", "row 0"), unboxed("B", "row 1")
    ('\\frac{1}{2}', 'B')
    ```
    """
    if "\\boxed" not in gold:
        return gold
    content = extract_boxed(gold)
    if content is None:
        raise ValueError(f"{where}: expected a closed \\boxed{{}} with an answer, got {gold[:60]!r}")
    return content


def _usable_rows(rows: Dataset, files: set[str], folder: Path) -> list[int]:
    """Indices of the rows with a question, a gold answer and an image for each `<image>`; counts the others."""
    require_columns(rows, _COLUMNS, "virl39k")
    keep, unanswered, unmatched = [], 0, 0
    for index, (question, answer, images) in enumerate(zip(*(rows[column] for column in _COLUMNS))):
        absent = [name for name in images or () if _file_name(name) not in files]
        if absent:
            raise ValueError(f"virl39k, row {index}: expected its image {absent[0]!r} in {folder}, got no such file")
        if not question or is_missing(answer):
            unanswered += 1
        elif question.count(IMAGE_TOKEN) != len(images or ()):
            unmatched += 1
        else:
            where = f"virl39k, row {index}, 'answer'"
            unboxed(as_gold(answer, where), where)
            keep.append(index)
    say(
        f"virl39k: {len(rows):,} rows read, {unanswered:,} without a problem or a gold answer, {unmatched:,} with "
        f"another number of images than of {IMAGE_TOKEN} tokens, {len(keep):,} kept"
    )
    if not keep:
        raise ValueError(
            f"virl39k: expected questions with an {IMAGE_TOKEN} token for each image, got none in {len(rows):,} rows"
        )
    return keep


def _download(repository: str, split: str) -> tuple[Dataset, Path]:
    try:
        file, archive = (hf_hub_download(repository, name, repo_type="dataset") for name in (ROWS_FILE, ARCHIVE))
    except (HTTPError, OSError) as error:
        raise ValueError(
            f"cannot load {ROWS_FILE} and {ARCHIVE} of {repository} from the Hub: {first_line(error)}"
        ) from error
    return read_rows(file, split), _image_folder(extract_images(Path(archive)))


def _open(path: Path, split: str) -> tuple[Dataset, Path]:
    folder = path if path.is_dir() else path.parent
    file = path if path.is_file() else folder / ROWS_FILE
    rows = read_rows(str(file), split) if file.is_file() else read_folder(folder, split)
    if (folder / "images").is_dir():
        return rows, (folder / "images").resolve()
    if (folder / ARCHIVE).is_file():
        return rows, _image_folder(extract_images(folder / ARCHIVE))
    raise ValueError(f"no images in {folder}: expected {ARCHIVE} or a folder images/")


def _image_folder(extracted: Path) -> Path:
    inside = extracted / "images"
    return inside if inside.is_dir() else extracted


def _file_name(name: str) -> str:
    return name.removeprefix("./").removeprefix("images/")
