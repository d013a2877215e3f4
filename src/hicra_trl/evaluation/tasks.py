"""What is to be sampled, and the record that tells it from anything else."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..grams import StrategicGrams
from .problems.catalog import Benchmark
from .problems.items import Item, load_items
from .problems.overrides import select_benchmarks
from .settings import EvalArguments


_PACKAGES = ("hicra-trl", "torch", "transformers", "vllm", "datasets", "math-verify")


@dataclass(frozen=True)
class Task:
    """
    A benchmark to be sampled.

    Attributes:
        benchmark ([`Benchmark`]):
            Its facts.
        items (`list[Item]`):
            Those of its items that are sampled.
        available (`int`):
            How many it has.
        fingerprint (`str`):
            What all of them amount to.
        num_samples (`int`):
            Samples of each item.
    """

    benchmark: Benchmark
    items: list[Item]
    available: int
    fingerprint: str
    num_samples: int

    @property
    def name(self) -> str:
        """Name of the benchmark."""
        return self.benchmark.name

    @property
    def size(self) -> int:
        """All of its samples."""
        return len(self.items) * self.num_samples


def load_tasks(args: EvalArguments) -> list[Task]:
    """Loads the benchmarks that are asked for."""
    tasks = []
    for benchmark in select_benchmarks(args.benchmarks, args.override):
        items = load_items(benchmark)
        chosen = items[: args.max_items]
        samples = args.num_samples or benchmark.num_samples
        tasks.append(Task(benchmark, chosen, len(items), items_fingerprint(items), samples))
    return tasks


def items_fingerprint(items: Sequence[Item]) -> str:
    """16 hexadecimal digits that change with any problem, gold answer, image or group."""
    digest = hashlib.sha256()
    for item in items:
        facts = [item.id, item.problem.strip(), asdict(item.gold), item.group, len(item.images)]
        digest.update(json.dumps(facts).encode())
        for image in item.images:
            digest.update(hashlib.sha256(image.path.read_bytes() if image.path else image.data or b"").digest())
    return digest.hexdigest()[:16]


def make_record(
    args: EvalArguments, tasks: Sequence[Task], grams: StrategicGrams, origin: Mapping[str, str]
) -> dict[str, Any]:
    """What goes into `evaluation.json`: settings, model, lexicon, benchmarks and versions."""
    return {
        "settings": asdict(args),
        "model": dict(origin),
        "lexicon": {"revision": grams.revision, "fingerprint": grams.fingerprint, "size": len(grams)},
        "benchmarks": {
            task.name: {
                "definition": json.loads(json.dumps(asdict(task.benchmark))),
                "available": task.available,
                "fingerprint": task.fingerprint,
                "items": len(task.items),
                "num_samples": task.num_samples,
            }
            for task in tasks
        },
        "versions": [{"python": platform.python_version(), **_versions()}],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
