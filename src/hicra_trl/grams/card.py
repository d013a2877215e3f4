"""The dataset card of a lexicon."""

import json

from ..paper import PAPER_CITATION
from .storage import Contents


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
