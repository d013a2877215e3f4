"""What a stored evaluation depends on, and whether another one may go on with it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .problems.catalog import Benchmark
from .settings import HOW


# Compared by what they amount to: benchmark by benchmark.
_BY_BENCHMARK = ("benchmarks", "override", "num_samples", "max_items")
_NO_FACTS = ("num_samples", "note")


def protocol(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that results depend on."""
    return {name: value for name, value in record["settings"].items() if name not in HOW}


def benchmark_of(record: Mapping[str, Any], name: str) -> Benchmark:
    """The facts of a benchmark as they were when it was evaluated."""
    stored = record["benchmarks"][name]["definition"]
    facts: dict[str, Any] = {fact: tuple(v) if isinstance(v, list) else v for fact, v in stored.items()}
    return Benchmark(**facts)


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
