"""Lexicons on the Hub: what is downloaded is bounded, and what goes wrong is one line."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from httpx import HTTPError
from huggingface_hub import HfApi, RepoFile, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from . import storage


if TYPE_CHECKING:
    from .lexicon import StrategicGrams

_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]{1,128})?")
_FILES = ["*.parquet", storage.PROVENANCE_FILE]


@dataclass
class Downloaded:
    """
    A lexicon in the local cache.

    Attributes:
        folder (`Path`):
            Where it is.
        repo_id (`str`):
            Repository it is from.
        revision (`str`):
            Hash of its commit.
    """

    folder: Path
    repo_id: str
    revision: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.repo_id}@{self.revision[:8]}"


def is_repository(source: str) -> bool:
    """Whether `source` may name a dataset on the Hub, with or without a revision."""
    return _REPOSITORY.fullmatch(source) is not None


def download(source: str) -> Downloaded:
    """
    Downloads a lexicon, or finds it in the cache when offline.

    Args:
        source (`str`):
            `"user/name"` or `"user/name@revision"`.

    Raises:
        `FileNotFoundError`: if there is no such dataset or revision, or the Hub cannot be reached.
        `ValueError`: if its files are larger than a lexicon's may be.
    """
    repo_id, _, revision = source.partition("@")
    try:
        if not HF_HUB_OFFLINE:
            revision = HfApi().dataset_info(repo_id, revision=revision or None).sha
            _check_sizes(repo_id, revision)
        folder = snapshot_download(repo_id, repo_type="dataset", revision=revision or None, allow_patterns=_FILES)
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"no strategic grams at {source!r}: no such file or folder, and no dataset on the Hub that you may read"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"no strategic grams at {source!r}: {repo_id} has no revision {revision!r}") from error
    except (HTTPError, OSError) as error:
        raise FileNotFoundError(f"cannot load strategic grams {source!r} from the Hub: {_line(error)}") from error
    # A snapshot's folder is named by its commit.
    return Downloaded(Path(folder), repo_id, Path(folder).name)


def push(grams: "StrategicGrams", repo_id: str, private: bool, license: str, commit_message: str) -> str:
    """Uploads a lexicon as a dataset in one commit and returns the commit's hash; raises `ValueError` if refused."""
    api = HfApi()
    try:
        repo_id = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            storage.write(Path(folder), grams, repo_id, license)
            commit = api.upload_folder(
                repo_id=repo_id, repo_type="dataset", folder_path=folder, commit_message=commit_message
            )
    except (HTTPError, OSError, RuntimeError) as error:
        raise ValueError(f"cannot push strategic grams to {repo_id!r}: {_line(error)}") from error
    return commit.oid


def _check_sizes(repo_id: str, revision: str) -> None:
    entries = HfApi().list_repo_tree(repo_id, repo_type="dataset", revision=revision, recursive=True)
    for entry in entries:
        if isinstance(entry, RepoFile) and entry.path.endswith(".parquet") and entry.size > storage.MAX_FILE_BYTES:
            raise ValueError(
                f"{repo_id}@{revision[:8]}/{entry.path}: a lexicon's file may have {storage.MAX_FILE_BYTES:,} bytes, "
                f"got {entry.size:,}"
            )


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
