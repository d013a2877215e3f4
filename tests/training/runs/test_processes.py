"""Processes that a command launches: none is left when it ends, and a signal to others does not end them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hicra_trl.training.runs import processes
from hicra_trl.training.runs.failures import STATUS_VARIABLE
from hicra_trl.training.runs.processes import end_processes, launched, run_processes


SLEEPS = "import time; time.sleep(100)"
# It does not end when it is asked to, and its parent, whose session it left, is gone.
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}], start_new_session=True)"


def python(code, status):
    return [sys.executable, "-c", code], {**os.environ, STATUS_VARIABLE: status}


def wait_for(count, status):
    while len(launched(status)) != count:
        time.sleep(0.05)


def test_all_with_the_status_are_ended_and_no_others(monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    started = [subprocess.Popen(*args[:1], env=args[1]) for args in (python(ORPHAN, "ours"), python(DEAF, "ours"))]
    command, environment = python(SLEEPS, "theirs")
    other = subprocess.Popen(command, env=environment)
    started[0].wait()
    wait_for(2, "ours")
    end_processes("ours")
    assert not launched("ours") and started[1].poll() is not None
    assert other.poll() is None and len(launched("theirs")) == 1
    other.kill()
    other.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_launcher_and_is_named(number):
    # Under nohup a signal is ignored, which is tested below.
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, default)
    try:
        threading.Timer(1, os.kill, (os.getpid(), number)).start()
        assert run_processes(*python(SLEEPS, "signal")) == (128 + number, number.name)
        assert signal.getsignal(number) == default and not launched("signal")
    finally:
        signal.signal(number, before)


def test_a_terminals_interrupt_is_not_for_what_is_launched():
    code = "import signal, sys; sys.exit(3 if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else 4)"
    assert run_processes(*python(code, "interrupt")) == (3, None)


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGHUP)).start()
        assert run_processes(*python("import time; time.sleep(1.5)", "nohup")) == (0, None)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
