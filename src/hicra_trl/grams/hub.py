"""Lexicons on the Hub: what is downloaded is bounded, and what goes wrong is one line."""

import re
import tempfile
from pathlib import Path

from huggingface_hub import HfApi, RepoFile, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError, RevisionNotFoundError

from ..disk import write_whole
from ..terminal import first_line, one_line
from . import storage
from .card import card


_REPOSITORY = re.compile(r"(?!.*\.\.)[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]{1,128})?")
_FILES = ["*.parquet", storage.PROVENANCE_FILE]


def is_repository(source: str) -> bool:
    """Whether `source` may name a dataset on the Hub, with or without a revision."""
    return _REPOSITORY.fullmatch(source) is not None


def download(source: str) -> Path:
    """
    Downloads a lexicon, or finds it in the cache when offline.

    Args:
        source (`str`):
            `"user/name"` or `"user/name@revision"`.

    Returns:
        `Path`: its folder in the cache, named by the hash of its commit.

    Raises:
        `FileNotFoundError`: if there is no such dataset or revision, or the Hub cannot be reached.
        `ValueError`: if its files are larger than a lexicon's may be.
    """
    repo_id, _, revision = source.partition("@")
    try:
        if not HF_HUB_OFFLINE:
            commit = HfApi().dataset_info(repo_id, revision=revision or None).sha
            assert commit is not None
            files = _files(repo_id, commit)
            folder = snapshot_download(repo_id, repo_type="dataset", revision=commit, allow_patterns=files)
            _remember(Path(folder), revision or "main", commit)
        else:
            folder = snapshot_download(repo_id, repo_type="dataset", revision=revision or None, allow_patterns=_FILES)
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"no strategic grams at {source!r}: no such file or folder, and no dataset on the Hub that you may read"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"no strategic grams at {source!r}: {repo_id} has no revision {revision!r}") from error
    except (HTTPError, OSError) as error:
        raise FileNotFoundError(f"cannot load strategic grams {source!r} from the Hub: {first_line(error)}") from error
    return Path(folder)


def push(contents: storage.Contents, repo_id: str, private: bool, license: str, commit_message: str) -> str:
    """Uploads a lexicon as a dataset in one commit and returns the commit's hash; raises `ValueError` if refused."""
    api = HfApi()
    try:
        repo_id = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            storage.write(Path(folder), contents, card(contents, repo_id, license))
            commit = api.upload_folder(
                repo_id=repo_id, repo_type="dataset", folder_path=folder, commit_message=commit_message
            )
    except (HTTPError, OSError, RuntimeError) as error:
        raise ValueError(f"cannot push strategic grams to {repo_id!r}: {first_line(error)}") from error
    return commit.oid


def _files(repo_id: str, revision: str) -> list[str]:
    """The files to download."""
    name = f"{repo_id}@{revision[:8]}"
    entries = HfApi().list_repo_tree(repo_id, repo_type="dataset", revision=revision, recursive=True)
    sizes = {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}
    files = [storage.grams_file(sizes, name), storage.PROVENANCE_FILE]
    for path, most in zip(files, (storage.MAX_FILE_BYTES, storage.MAX_PROVENANCE_BYTES)):
        storage.check_size(sizes.get(path, 0), f"{name}/{one_line(path)}", most)
    return files


def _remember(folder: Path, revision: str, commit: str) -> None:
    """Lets the cache find a branch when offline, as a download by its name does."""
    if revision != commit:
        write_whole(folder.parents[1] / "refs" / revision, commit)
