"""Files that are whole whenever they are there, and what a folder's files amount to."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Generic, Self, TypeVar

import yaml


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_MODEL_FILES = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "tokenizer*", "chat_template*")
_TAIL = 1 << 20
_Row = TypeVar("_Row", bound="DataclassInstance")


def write_whole(path: str | Path, text: str) -> None:
    """Writes a text file at once, and the folders above it: whoever is killed leaves the old file or the new one."""
    save_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Like [`write_whole`] for a file of any kind; `write` is told where to write it, under a name that ends alike."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_own(path: str | Path, mark: str) -> None:
    """Raises `ValueError` if something is at `path` that is no file with the line, or part of one, that is `mark`."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as lines:
            if any(mark.encode() in line for line in lines):
                return
    if os.path.lexists(path):
        raise ValueError(f"{path} is there already, and not from this command: expected a new file")


def lock(file: IO[Any], who: str, wait: bool = False) -> None:
    """Locks an open file until it is closed; raises `ValueError` if another `who` has locked it, or waits for that."""
    # Some network file systems have no locks.
    with suppress(OSError):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ValueError(f"{file.name} is in use: another {who} writes there") from None


class LineFile(Generic[_Row]):
    """
    A JSONL file, to be appended to by one process at a time.

    Opening it truncates away a last line that an interruption tore.

    Args:
        path (`str` or `Path`):
            The file.
        read (`Callable[[Path], list]`):
            Reads the whole lines of it.
        who (`str`):
            Who else may be writing there.

    Attributes:
        rows (`list`):
            Those that were there when it was opened.

    Raises:
        `ValueError`: if the file is broken, or another process appends to it.
    """

    def __init__(self, path: str | Path, read: Callable[[Path], list[_Row]], who: str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab")  # noqa: SIM115
        lock(self._file, who)
        self.rows = read(self.path)
        with open(self.path, "rb") as lines:
            self._file.truncate(sum(len(line) for line in lines if line.endswith(b"\n")))

    def append(self, rows: Iterable[_Row]) -> None:
        """Stores rows, which are dataclasses; when this returns, they are on disk."""
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
        # A byte-level tokenizer can sample half a surrogate pair, which UTF-8 has no bytes for.
        self._file.write("".join(lines).encode(errors="replace"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_mapping(file: str | Path, **expected: type | tuple[type, ...]) -> dict[str, Any]:
    """
    Reads a JSON file, or YAML by its suffix, that holds an object.

    Args:
        file (`str` or `Path`):
            The file.
        expected (`type`):
            What must be in it, by name.

    Raises:
        `ValueError`: if it is broken or holds something else; the message names the file.
    """
    file = Path(file)
    try:
        text = file.read_text(encoding="utf-8")
        value = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file}: expected an object, got {type(value).__name__}")
    for name, kind in expected.items():
        if name not in value or not isinstance(value[name], kind):
            got = repr(value[name])[:60] if name in value else "none"
            raise ValueError(f"{file}: expected {name!r} as hicra writes it, got {got}")
    return value


def from_pretrained(kind: Any, name: str | Path, **kwargs: Any) -> Any:
    """
    What a class of Transformers loads from a model's folder or the Hub.

    Args:
        kind (`type`):
            Such as `AutoTokenizer`.
        name (`str` or `Path`):
            The model.
        **kwargs:
            As `kind.from_pretrained` takes them.

    Raises:
        `ValueError`: if one of the files is broken, or a package is missing.
        `OSError`: of Transformers, if there is no such model; the message names it.
    """
    try:
        return kind.from_pretrained(name, **kwargs)
    except OSError as error:
        # Of a Hub that cannot be reached, Transformers does not say what it was asked for.
        if str(name) in str(error):
            raise
        raise OSError(f"{name}: {error}") from error
    except Exception as error:  # tokenizers has no narrower one, and each class others
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"cannot read {name} by {kind.__name__}: {reason}") from error


def commit(model: str, revision: str | None = None) -> str | None:
    """The commit at which a model of the Hub was loaded; `None` of a folder."""
    # Imported here: who only reads files does not wait for it.
    from huggingface_hub import try_to_load_from_cache

    file = None if Path(model).is_dir() else try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(file).parent.name if isinstance(file, str) else None


def fingerprint(folder: str | Path) -> str:
    """16 hexadecimal digits that change with a model's weights, config, tokenizer or chat template."""
    digest = hashlib.sha256()
    for file in sorted({file for pattern in _MODEL_FILES for file in Path(folder).glob(pattern) if file.is_file()}):
        with file.open("rb") as content:
            # Weights are large, and training changes all of them: their end tells.
            content.seek(max(0, file.stat().st_size - _TAIL))
            digest.update(f"{file.name} {file.stat().st_size}\n".encode() + content.read())
    return digest.hexdigest()[:16]


def is_unchanged(folder: str | Path, recorded: str) -> bool:
    """
    Whether a model's folder still has the fingerprint that was `recorded`.

    Older manifests recorded one of `config.json` and of the names and sizes of the weights alone; it counts too.
    """
    return recorded == fingerprint(folder) or recorded == _fingerprint_of_sizes(Path(folder))


def _fingerprint_of_sizes(folder: Path) -> str:
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(file for suffix in ("safetensors", "bin") for file in folder.glob(f"*.{suffix}")):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
