"""The dataset card of a lexicon."""

import json
import os
from pathlib import Path

from ..paper import PAPER_CITATION
from .storage import CARD_FILE, GRAMS_FILE, PROVENANCE_FILE, Contents, read


_CARD = """\
---
license: {license}
pretty_name: Strategic grams
tags:
- strategic-grams
- hicra
- reasoning
- reinforcement-learning
size_categories:
- {size_category}
configs:
- config_name: default
  data_files:
  - split: train
    path: strategic_grams.parquet
---

# Strategic grams

{size} phrases with which a reasoning model plans ("strategic grams"), for hierarchy-aware credit assignment (HICRA)
with [hicra-trl](https://pypi.org/project/hicra-trl/). Fingerprint `{fingerprint}`.

{examples}

## Use

```python
from hicra_trl import HICRAConfig, StrategicGrams

grams = StrategicGrams.load("{repo_id}")
config = HICRAConfig("runs/mine", strategic_grams="{repo_id}")
```

```python
from datasets import load_dataset

rows = load_dataset("{repo_id}", split="train")
```

## Columns

| column | meaning |
|---|---|
| `gram` | the phrase, lower case, with straight apostrophes |
| `document_frequency` | number of solutions that have it |
| `term_frequency` | number of its occurrences |
| `cluster` | its semantic cluster |
| `cluster_document_frequency` | number of solutions that have any gram of the cluster |
| `rank` | rank of the cluster, from 1 |
| `example` | one occurrence in context |

Only mined lexicons have the columns after the first.

## Provenance

```json
{provenance}
```

## Citation

```bibtex
{citation}
```
"""


def card(contents: Contents, repo_id: str | None = None, license: str = "apache-2.0") -> str:
    """
    README of a lexicon's dataset, with the YAML that the Hub and `datasets` read.

    Args:
        contents ([`Contents`]):
            The lexicon.
        repo_id (`str`, *optional*):
            What its users load; a placeholder where it is not published.
        license (`str`, *optional*, defaults to `"apache-2.0"`):
            Licence, as the Hub names it.
    """
    size = len(contents.phrases)
    return _CARD.format(
        license=license,
        size_category="n<1K" if size < 1000 else "1K<n<10K" if size < 10_000 else "10K<n<100K",
        size=size,
        fingerprint=contents.fingerprint,
        examples="\n".join(f"* {gram}" for gram in contents.phrases[:10]),
        repo_id=repo_id or "user/name",
        provenance=json.dumps(contents.provenance, indent=2, ensure_ascii=False),
        citation=PAPER_CITATION,
    )


def check_target(folder: Path) -> None:
    """Raises `ValueError` where saving a lexicon in `folder` would replace anything but a saved one."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: expected a folder")
    there = [name for name in (GRAMS_FILE, PROVENANCE_FILE, CARD_FILE) if os.path.lexists(folder / name)]
    if there and not _is_as_saved(folder):
        raise ValueError(
            f"{folder} holds {' and '.join(there)}, not as hicra mine writes them: expected another output_dir"
        )


def _is_as_saved(folder: Path) -> bool:
    try:
        saved, _ = read(folder, str(folder))
        recorded = [saved.provenance.pop(name, None) for name in ("fingerprint", "size")]
        text = (folder / CARD_FILE).read_text(encoding="utf-8")
    except (ValueError, OSError):
        return False
    return recorded == [saved.fingerprint, len(saved.phrases)] and text == card(saved)
