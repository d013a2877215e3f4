"""What identifies an evaluation: settings, problems, model and lexicon; and whether another one may go on with it."""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..grams import StrategicGrams
from .problems.catalog import Benchmark
from .problems.items import Item
from .settings import HOW, EvalArguments


_PACKAGES = ("hicra-trl", "torch", "transformers", "vllm", "datasets", "math-verify")
# Compared by what they amount to: benchmark by benchmark.
_BY_BENCHMARK = ("benchmarks", "override", "num_samples", "max_items")
_NO_FACTS = ("num_samples", "note")


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


def items_fingerprint(items: Sequence[Item]) -> str:
    """16 hexadecimal digits that change with any problem, gold answer, image or group."""
    digest = hashlib.sha256()
    for item in items:
        facts = [item.id, item.problem, asdict(item.gold), item.group, len(item.images)]
        digest.update(json.dumps(facts).encode())
        for image in item.images:
            digest.update(hashlib.sha256(image.path.read_bytes() if image.data is None else image.data).digest())
    return digest.hexdigest()[:16]


def make_record(
    args: EvalArguments, tasks: Sequence[Task], grams: StrategicGrams, origin: Mapping[str, str]
) -> dict[str, Any]:
    """What goes into `evaluation.json`."""
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


def protocol(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that results depend on."""
    return {name: value for name, value in record["settings"].items() if name not in HOW}


def benchmark_of(record: Mapping[str, Any], name: str) -> Benchmark:
    """The facts of a benchmark as they were when it was evaluated."""
    stored = record["benchmarks"][name]["definition"]
    return Benchmark(**{fact: tuple(value) if isinstance(value, list) else value for fact, value in stored.items()})


def merge(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    The record of an evaluation that goes on.

    More benchmarks, items and samples may be asked for than are stored, and the versions may be newer; anything else
    has to be the same.

    Raises:
        `ValueError`: if not; the message names what differs.
    """
    differing = list(_differences(stored, asked))
    if differing:
        raise ValueError(
            f"{asked['settings']['output_dir']} holds an evaluation with other settings: {'; '.join(differing)}. "
            "Expected the same ones, or another output_dir"
        )
    versions = stored["versions"] + [new for new in asked["versions"] if new != stored["versions"][-1]]
    return {**asked, "versions": versions}


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    yield from _changed("", protocol(stored), protocol(asked), _BY_BENCHMARK)
    yield from _changed("model ", stored["model"], asked["model"])
    yield from _changed("lexicon ", stored["lexicon"], asked["lexicon"], ("revision",))
    for name, old in stored["benchmarks"].items():
        new = asked["benchmarks"].get(name)
        if new is None:
            yield f"benchmark {name} is there, but not asked for"
            continue
        yield from _changed(f"{name}.", old["definition"], new["definition"], _NO_FACTS)
        yield from _changed(f"{name} ", {"items": old["fingerprint"]}, {"items": new["fingerprint"]})
        for count in ("items", "num_samples"):
            if new[count] < old[count]:
                yield f"{name} has {old[count]} {count}, asked for {new[count]}"


def _changed(
    prefix: str, stored: Mapping[str, Any], asked: Mapping[str, Any], ignored: Sequence[str] = ()
) -> Iterator[str]:
    for name in {**stored, **asked}:
        if name not in ignored and stored.get(name) != asked.get(name):
            yield f"{prefix}{name} is {stored.get(name)!r}, asked for {asked.get(name)!r}"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
