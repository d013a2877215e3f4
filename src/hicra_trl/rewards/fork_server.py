"""The process that forks grading workers: `python -m hicra_trl.rewards.fork_server CONTROL_FD MEMORY_BYTES`.

It imports SymPy once, so that a worker costs a fork: milliseconds, where a fresh interpreter costs half a second. It
is an interpreter of its own, without the threads and the devices of the trainer, so that forking it is safe; and it
does not import the main module, which in a script without `if __name__ == "__main__"` would train again.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from multiprocessing.connection import Connection
from typing import Any

from .equality import algebra
from .equality.answers import expressions, same_answer
from .gold import Gold
from .workers import FORK, MESSAGE


_CPU_SECONDS = 600
_PR_SET_PDEATHSIG = 1
_FIRST_PAIRS = (
    ("b+a", "a+b"),
    ("a+b", "a-b"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"\sqrt[3]{4}", r"2^{2/3}"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    ("2x+4y=6", "x+2y-3=0"),
    ("(1,2)", r"(1,\sqrt{4})"),
    (r"[0,\infty)", r"x \ge 0"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\tan x", r"\frac{\sin x}{\cos x}"),
    (r"\log_2 8+\ln e", r"\frac{\ln 8}{\ln 2}+1"),
    (r"e^{i\pi}", "-1"),
    ("(1+i)(2-3i)", "5-i"),
    (r"2\pi+1.5", r"\frac{3}{2}+2\pi"),
    (r"\binom{6}{3}", "20"),
    ("5!", "120"),
    (r"\lfloor x\rfloor+1", r"\lceil x\rceil"),
    (r"|x-1|", r"|1-x|"),
    (r"\frac{n(n+1)}{2}", r"\frac{n^2+n}{2}"),
    ("x_1+x_2", "x_2+x_1"),
    (r"3+4i", "5"),
    ("0.75x", r"\frac{3}{4}x"),
    ("-3<x<3", "x^2<9"),
    (r"I=\frac{U}{R}", "U=RI"),
    (r"\pi", "3.141593"),
)
# A worker that once held this fraction of its memory is not used again.
_SPENT = 4


def main(control: socket.socket, memory: int) -> None:
    """Forks and kills workers as it is told, until the other side is gone; then ends with all of them."""
    _warm_up()
    workers: set[int] = set()
    try:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, MESSAGE.size, 1)
            if not message:
                return
            order, pid = MESSAGE.unpack(message)
            if order == FORK:
                fork_server = os.getpid()
                pid = os.fork()
                if pid == 0:
                    control.close()
                    try:
                        _serve(Connection(descriptors[0]), memory, fork_server)
                    finally:
                        # What follows is the fork server's.
                        os._exit(1)
                os.close(descriptors[0])
                workers.add(pid)
                control.sendall(MESSAGE.pack(FORK, pid))
            elif pid in workers:
                _end(pid)
                workers.discard(pid)
    except OSError:
        return
    finally:
        for pid in workers:
            _end(pid)


def _warm_up() -> None:
    """What SymPy sets up on first use, a quarter of a second for each kind of expression, is then in every worker."""
    for answer, gold in _FIRST_PAIRS:
        algebra.equal(answer, gold)
        algebra.equal(gold, answer)
    # Nothing of it is garbage, and a collection would copy its pages into every worker.
    gc.freeze()


def _end(pid: int) -> None:
    # A process id is not given away again before it is waited for.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _serve(connection: Connection, memory: int, fork_server: int) -> None:
    """Answers requests until the other side is gone."""
    if sys.platform == "linux":
        # Dies with its fork server, should that be killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != fork_server:
            # It was killed before it could be asked for.
            return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            request = json.loads(connection.recv_bytes())
            try:
                reply = _answer(**request)
            except MemoryError:
                reply = False
            # SymPy takes a MemoryError for an answer, so it is the peak that tells.
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            connection.send_bytes(json.dumps({"reply": reply, "spent": peak > memory / _SPENT}).encode())
        except (EOFError, OSError):
            return


def _answer(answer: str | None, gold: dict[str, Any]) -> bool | str:
    """A verdict; or, without an answer, the first piece of the gold answer that has no meaning, and else nothing."""
    target = Gold(**gold)
    if answer is None:
        return next((piece for piece in expressions(target.answer) if not algebra.understood(piece)), "")
    return bool(same_answer(answer, target, algebra.equal))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
