"""What is said on screen."""

import os
import sys


def say(line: str) -> None:
    """Writes a line to stderr, from the first process of a run alone."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)


def first_line(error: BaseException) -> str:
    """
    What an error says, in one line; its kind where it says nothing.

    Example:

    ```python
    >>> first_line(ValueError("no dataset\\nTraceback ...")), first_line(KeyError())
    ('no dataset', 'KeyError')
    ```
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
