"""Functions of the user's own, by a dotted path or out of a file beside the recipe."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..terminal import first_line


def beside(name: str, folder: Path) -> str:
    """
    `name`, or `FILE:function` if its module is a file in `folder`.

    A recipe that names `my_credit.rule` means `my_credit.py` beside it, wherever it is run or resumed from.
    """
    module, _, function = name.rpartition(".")
    file = folder.absolute() / f"{module}.py"
    return f"{file}:{function}" if module and file.is_file() else name


def load_function(name: str, what: str) -> Any:
    """
    What a dotted path, or `FILE.py:function`, means.

    Args:
        name (`str`):
            The path. Modules are looked for in the working directory first.
        what (`str`):
            What it is for, in messages.

    Raises:
        `ValueError`: with one line, if there is no such thing or its module fails.
    """
    file, _, function = name.rpartition(":")
    module = name.rpartition(".")[0]
    if not file:
        function = name.rpartition(".")[2]
    sys.path.insert(0, os.getcwd())
    try:
        with blamed(f"cannot load the {what} {name!r}"):
            return getattr(_execute(file) if file else importlib.import_module(module), function)
    finally:
        sys.path.pop(0)


def _execute(file: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise ImportError(f"no Python file at {file}")
    module = importlib.util.module_from_spec(spec)
    # Classes in it are pickled by the module's name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Around the user's own code: whatever it raises is said in a line, with the last line of code it comes from."""
    try:
        yield
    except (Exception, SystemExit) as error:
        where = f" ({error.filename}:{error.lineno})" if isinstance(error, SyntaxError) else ""
        # The first two are this one and the one that calls the user's code.
        if not where and (frames := traceback.extract_tb(error.__traceback__)[2:]):
            own = [frame for frame in frames if not frame.filename.startswith("<")]
            where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        raise ValueError(f"{what}: {type(error).__name__}: {first_line(error)}{where}") from error
