"""Files that are whole whenever they are there, and what a folder's files amount to."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


_MODEL_FILES = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "tokenizer*", "chat_template*")
_TAIL = 1 << 20


def write_whole(path: str | Path, text: str) -> None:
    """Writes a text file at once, and the folders above it: whoever is killed leaves the old file or the new one."""
    save_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Like [`write_whole`] for a file of any kind; `write` is told where to write it, under a name that ends alike."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    write(part)
    os.replace(part, path)


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
