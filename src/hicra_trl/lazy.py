"""Names of a package that are imported on first use."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[list[str], Callable[[str], Any]]:
    """
    What a package needs to show names without importing their modules: its `__all__` and its `__getattr__`.

    Args:
        package (`str`):
            The package's `__name__`.
        homes (`Mapping[str, str]`):
            The module of each name, seen from the package.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".{homes[name]}", package), name)

    return sorted(homes), find
