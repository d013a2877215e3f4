"""Runs the processes that train, and leaves none of them when a signal ends the command."""

import os
import signal
import subprocess
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

from .failures import STATUS_VARIABLE


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 10.0


class Stopped(BaseException):
    """A signal that ends the command."""


def run_processes(command: list[str], environment: dict[str, str]) -> tuple[int, str | None]:
    """
    Runs a launcher until it ends, or a signal ends it and all that it launched.

    Args:
        command (`list[str]`):
            The launcher.
        environment (`dict[str, str]`):
            Its own, with `STATUS_VARIABLE`, by which what it launched is known.

    Returns:
        `tuple[int, str]`: the exit status, and the name of the signal if there was one.
    """
    # What `nohup` and a shell's `&` have ignored stays so.
    before = {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) != signal.SIG_IGN}

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    try:
        for number in before:
            # A terminal's Ctrl-C goes to all processes: those that are launched inherit that it is not for them.
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else stop)
        launcher = subprocess.Popen(command, env={"TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM", **environment})
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, stop)
        return launcher.wait(), None
    except Stopped as stopped:
        (number,) = stopped.args
        end_processes(environment[STATUS_VARIABLE])
        return 128 + number, signal.Signals(number).name
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_processes(status: str) -> None:
    """Ends all processes whose `STATUS_VARIABLE` is `status`, whatever became of their parents."""
    processes = launched(status)
    # The launcher first, and at once: it would report the end of the others as a failure.
    for process in sorted(processes, key=lambda process: not _is_child(process)):
        with suppress(psutil.NoSuchProcess):
            process.kill() if _is_child(process) else process.terminate()
    psutil.wait_procs(processes, timeout=_GRACE)
    while processes := launched(status):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=_GRACE)


def launched(status: str) -> list[psutil.Process]:
    """The processes with this `STATUS_VARIABLE`."""
    found = []
    for process in psutil.process_iter():
        # Of others' processes, and of those that end meanwhile, it cannot be read.
        with suppress(psutil.Error, OSError):
            if process.environ().get(STATUS_VARIABLE) == status and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _is_child(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.ppid() == os.getpid()
    return False
