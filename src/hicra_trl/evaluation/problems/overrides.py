"""Benchmarks as a command line asks for them: names, and `NAME.FIELD=VALUE` for whatever is to be different."""

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ...terminal import did_you_mean
from .catalog import BENCHMARKS, Benchmark


_TYPES = get_type_hints(Benchmark)
_FIELDS = tuple(field.name for field in fields(Benchmark) if field.name != "name")
_NAME = re.compile(r"[\w-]+", re.ASCII)


def select_benchmarks(names: Sequence[str], overrides: Sequence[str] = ()) -> list[Benchmark]:
    """
    The benchmarks of these names, with overrides.

    A name that is not in [`BENCHMARKS`] is a benchmark of its own if an override gives it a dataset.

    Args:
        names (`Sequence[str]`):
            Benchmarks to return, in this order.
        overrides (`Sequence[str]`, *optional*):
            Each `NAME.FIELD=VALUE`. Those of benchmarks that are not asked for have no effect.

    Returns:
        `list[Benchmark]`: one for each name.

    Raises:
        `ValueError`: for an unknown benchmark or field, a name given twice, or a value that the field cannot take.

    Example:

    ```python
    >>> [aime, mine] = select_benchmarks(["aime24", "mine"], ["aime24.num_samples=8", "mine.dataset=mine.jsonl"])
    >>> aime.dataset, aime.num_samples, mine.dataset
    ('HuggingFaceH4/aime_2024', 8, 'mine.jsonl')
    ```
    """
    given = _by_name(overrides)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"benchmark {name!r} is given twice")
    known = {name: _benchmark(name, given.get(name, {})) for name in [*names, *given]}
    return [known[name] for name in names]


def override(benchmark: Benchmark, values: Mapping[str, str]) -> Benchmark:
    """
    A benchmark with some of its facts replaced.

    Values are texts by field: several columns or configurations are separated by commas, `none` stands for no value.

    Raises:
        `ValueError`: for an unknown field or a value that it cannot take.

    Example:

    ```python
    >>> override(BENCHMARKS["aime25"], {"dataset": "opencompass/AIME2025", "config": "AIME2025-I,AIME2025-II"}).config
    ('AIME2025-I', 'AIME2025-II')
    ```
    """
    return replace(benchmark, **_parse(benchmark.name, values))


def _by_name(overrides: Sequence[str]) -> dict[str, dict[str, str]]:
    given: dict[str, dict[str, str]] = {}
    for text in overrides:
        target, equals, value = text.partition("=")
        name, dot, field = target.strip().partition(".")
        if not (name and field and dot and equals):
            raise ValueError(f"an override must be NAME.FIELD=VALUE, got {text!r}")
        if field in given.setdefault(name, {}):
            raise ValueError(f"{name}.{field} is overridden twice: {given[name][field]!r} and {value!r}")
        given[name][field] = value
    return given


def _benchmark(name: str, values: dict[str, str]) -> Benchmark:
    if name in BENCHMARKS:
        return override(BENCHMARKS[name], values)
    if not values.get("dataset"):
        raise ValueError(
            f"unknown benchmark {name!r}: expected one of {', '.join(BENCHMARKS)}, or an override "
            f"{name}.dataset=FILE_OR_HUB_ID{did_you_mean([name], BENCHMARKS)}"
        )
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a benchmark may have letters, digits, '-' and '_', got {name!r}")
    return Benchmark(name, **_parse(name, values))


def _parse(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    for field in values:
        if field not in _FIELDS:
            hint = did_you_mean([field], _FIELDS)
            raise ValueError(f"{name} has no field {field!r}: expected one of {', '.join(_FIELDS)}{hint}")
    return {field: _value(f"{name}.{field}", _TYPES[field], text) for field, text in values.items()}


def _value(where: str, kind: Any, text: str) -> Any:
    none = text.lower() in ("none", "null")
    if get_origin(kind) is tuple:
        return () if none else tuple(part.strip() for part in text.split(",") if part.strip())
    if get_origin(kind) is types.UnionType:
        if none:
            return None
        kind = next(option for option in get_args(kind) if option is not type(None))
    if kind is str or get_origin(kind) is Literal:
        return text
    try:
        return kind(text)
    except ValueError as error:
        expected = {int: "an integer", float: "a number"}[kind]
        raise ValueError(f"{where} must be {expected}, got {text!r}") from error
