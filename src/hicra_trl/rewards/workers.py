"""Processes that may hang, crash or run out of memory, without anybody having to wait for them."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from ..terminal import say


# One message each way between a process and its fork server: what to do, and a process id.
MESSAGE = struct.Struct("!cq")
FORK, KILL = b"F", b"K"
# SymPy's caches grow with the variety of what a worker has seen.
_TASKS_PER_WORKER = 5000
_SECONDS_TO_END = 5.0
# What `batch_timeout` is for.
_TASKS_PER_BATCH = 128
# Seconds of a task in the first round, and how much more it has in the next.
_FIRST_SHARE = 0.05
_GROWTH = 4
# How much longer than it should take a batch may take in silence.
_PATIENCE = 2
# Computing, or waiting for a processor or the disk.
_RUNNABLE = ("R", "D")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Failed:
    """
    What stands in place of a reply.

    Attributes:
        why (`str`):
            Why there is none: `"timeout"`, `"memory"` or `"crash"`.
        hurried (`bool`):
            Whether the time of the batch ran out before the task had its own.
    """

    why: Literal["timeout", "memory", "crash"]
    hurried: bool = False


class Workers:
    """
    A pool of processes that grade, each of which can be killed and replaced in milliseconds.

    A fork server starts them ([`hicra_trl.rewards.fork_server`]): an interpreter of its own, started with the first
    task. They end with this object and with this process, however it ends. To be used by one thread at a time.

    Args:
        num_workers (`int`):
            Processes that work at the same time.
        memory (`int`):
            Address space of each, in bytes.
    """

    def __init__(self, num_workers: int, memory: int) -> None:
        self.num_workers = num_workers
        self.memory = memory
        self._fork_server: _ForkServer | None = None
        self._idle: list[_Worker] = []
        self._has_complained = False
        # Processor seconds that the batch still has.
        self._left = 0.0
        self._owner = os.getpid()

    def run(self, tasks: Sequence[dict[str, Any]], timeout: float, batch_timeout: float) -> list[Any]:
        """
        Does all tasks in a bounded time.

        Each task may take `timeout` seconds if all of them together then end within `batch_timeout`. Otherwise there
        are rounds: in the first each task has 0.05 seconds, and in each that follows four times as many, until it is
        done or the time is over. So many that hang cannot starve the others. All of this is processor time: on a busy
        machine it takes longer, and takes nothing away from any task.

        Args:
            tasks (`Sequence[dict]`):
                Requests, as a worker takes them.
            timeout (`float`):
                Seconds for one task.
            batch_timeout (`float`):
                Seconds for all of them, the start of the fork server apart, if every worker has a processor; in
                proportion more for more than 128.

        Returns:
            `list`: a reply, or [`Failed`], for each task in order.
        """
        if os.getpid() != self._owner:
            # A fork of the process that started them: they answer to that one.
            self._fork_server, self._idle, self._owner = None, [], os.getpid()
        results: list[Any] = [Failed("timeout", hurried=True)] * len(tasks)
        if not tasks:
            return results
        try:
            self._idle.append(self._take())
            for worker in self._idle:
                worker.used()
            began, seconds = time.monotonic(), batch_timeout * max(1.0, len(tasks) / _TASKS_PER_BATCH)
            self._left = self.num_workers * seconds
            share = timeout if batch_timeout * self.num_workers >= timeout * len(tasks) else _FIRST_SHARE
            while self._work(tasks, share, timeout, results) and share < timeout:
                share = min(_GROWTH * share, timeout)
            waited = time.monotonic() - began
            if waited > _PATIENCE * seconds and not self._has_complained:
                self._has_complained = True
                say(
                    f"the machine is busy: grading a batch took {waited:.0f} s, where {seconds:.0f} s should be enough"
                )
        except BaseException:
            # Ctrl-C among others: what is under way must not answer the next batch.
            self.close()
            raise
        return results

    def close(self) -> None:
        """Ends the workers and their fork server; the next task starts new ones."""
        fork_server, self._fork_server, self._idle = self._fork_server, None, []
        if fork_server is not None:
            fork_server.end()

    def _work(self, tasks: Sequence[dict[str, Any]], share: float, timeout: float, results: list[Any]) -> bool:
        """
        One round: fills in results; a task is killed after `share` seconds of processor time, or `timeout` on the
        clock if it does not even want a processor.

        Returns whether there is something left to do, and time to do it.
        """
        queue = deque(at for at, result in enumerate(results) if result == Failed("timeout", hurried=True))
        died: set[int] = set()
        busy: dict[Connection, _Worker] = {}
        while busy or (queue and self._left > 0):
            while queue and len(busy) < self.num_workers and self._left > 0:
                worker = self._take()
                self._left -= worker.used()
                worker.start(queue.popleft(), tasks, share)
                busy[worker.connection] = worker
            soonest = min(worker.look_at for worker in busy.values()) if busy else 0.0
            ready = wait(list(busy), max(0.0, soonest - time.monotonic()))
            for worker in [worker for worker in busy.values() if worker.connection in ready]:
                del busy[worker.connection]
                reply = worker.reply()
                if reply == Failed("crash") and worker.task not in died:
                    # It may have been killed from outside, for another's hunger for memory: once more.
                    died.add(worker.task)
                    queue.appendleft(worker.task)
                else:
                    results[worker.task] = reply
                if worker.spent:
                    worker.kill()
                else:
                    self._idle.append(worker)
            now = time.monotonic()
            for worker in [worker for worker in busy.values() if worker.look_at <= now]:
                self._left -= worker.used()
                late = worker.stuck(timeout) or (share >= timeout and worker.overspent(share))
                if late or self._left <= 0 or worker.overspent(share):
                    busy.pop(worker.connection).kill()
                    if late:
                        results[worker.task] = Failed("timeout")
        return Failed("timeout", hurried=True) in results and self._left > 0

    def _take(self) -> "_Worker":
        if self._idle:
            return self._idle.pop()
        if self._fork_server is not None:
            try:
                return self._fork_server.fork()
            except (EOFError, OSError):
                self.close()
        self._fork_server = _ForkServer(self.memory)
        return self._fork_server.fork()


class _Worker:
    def __init__(self, pid: int, connection: Connection, fork_server: "_ForkServer") -> None:
        self.pid = pid
        self._fork_server = fork_server
        self.connection = connection
        self.tasks_done = 0
        self.spent = False
        self._state, self._seen = _state_and_seconds(pid, 0.0)

    def start(self, task: int, tasks: Sequence[dict[str, Any]], share: float) -> None:
        self.task, self.started, self._before = task, time.monotonic(), self._seen
        self.look_at = self.started + share
        try:
            self.connection.send_bytes(json.dumps(tasks[task]).encode())
        except OSError:
            # It was killed while it was idle; reply() reports that.
            return

    def used(self) -> float:
        """Processor time that it has had since it was asked last."""
        before = self._seen
        self._state, self._seen = _state_and_seconds(self.pid, before)
        return self._seen - before

    def overspent(self, share: float) -> bool:
        """Whether the task had its share; if not, when to look again is set to when it may have had it."""
        left = share - (self._seen - self._before)
        self.look_at = time.monotonic() + max(left, _TICK)
        return left < _TICK

    def stuck(self, timeout: float) -> bool:
        """Whether its time is over and it does not wait for a processor, as on a busy machine."""
        return time.monotonic() - self.started >= timeout and self._state not in _RUNNABLE

    def kill(self) -> None:
        self.connection.close()
        self._fork_server.kill(self.pid)

    def reply(self) -> Any:
        self.tasks_done += 1
        try:
            message = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            self.spent = True
            return Failed("crash")
        self.spent = message["spent"] or self.tasks_done >= _TASKS_PER_WORKER
        return Failed("memory") if message["spent"] and message["reply"] is False else message["reply"]


class _ForkServer:
    def __init__(self, memory: int) -> None:
        self._control, theirs = socket.socketpair()
        packages = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hicra_trl.rewards.fork_server", str(theirs.fileno()), str(memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(packages)},
                # Ctrl-C at the terminal is the trainer's to handle.
                start_new_session=True,
            )
        self.end = weakref.finalize(self, _end, self._control, self._process)

    def fork(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [MESSAGE.pack(FORK, 0)], [theirs.fileno()])
        reply = self._control.recv(MESSAGE.size, socket.MSG_WAITALL)
        if len(reply) < MESSAGE.size:
            raise EOFError("the process that starts the grading workers has ended; its error is printed above")
        return _Worker(MESSAGE.unpack(reply)[1], Connection(ours.detach()), self)

    def kill(self, pid: int) -> None:
        try:
            self._control.sendall(MESSAGE.pack(KILL, pid))
        except OSError:
            # The fork server is gone, and its workers with it.
            return


def _end(control: socket.socket, process: subprocess.Popen) -> None:
    """Without its control socket a fork server ends its workers and itself."""
    control.close()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _state_and_seconds(pid: int, before: float) -> tuple[str, float]:
    """
    What a process does, and the processor time that it has had: as much as before, if it has ended; the time on the
    clock, where the system does not say.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", before if sys.platform == "linux" else time.monotonic()
    return fields[0], (int(fields[11]) + int(fields[12])) * _TICK
