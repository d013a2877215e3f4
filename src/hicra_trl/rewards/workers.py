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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal


# One message each way between a process and its nursery: what to do, and a process id.
MESSAGE = struct.Struct("!cq")
FORK, KILL = b"F", b"K"
# SymPy's caches grow with the variety of what a worker has seen.
_TASKS_PER_WORKER = 5000
_SECONDS_TO_END = 5.0


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

    A nursery forks them ([`hicra_trl.rewards.nursery`]): an interpreter of its own, started with the first task. They
    end with this object and with this process, however it ends. To be used by one thread at a time.

    Args:
        num_workers (`int`):
            Processes that work at the same time.
        memory (`int`):
            Address space of each, in bytes.
    """

    def __init__(self, num_workers: int, memory: int) -> None:
        self.num_workers = num_workers
        self.memory = memory
        self._nursery: _Nursery | None = None
        self._idle: list[_Worker] = []
        self._owner = os.getpid()

    def run(self, tasks: Sequence[dict[str, Any]], timeout: float, batch_timeout: float) -> list[Any]:
        """
        Does all tasks in a bounded time.

        Each task may take `timeout` seconds if all of them together then end within `batch_timeout`. Otherwise they
        first share half of that time equally, and in the other half those that did not end may take `timeout` each:
        many that hang cannot starve the others.

        Args:
            tasks (`Sequence[dict]`):
                Requests, as a worker takes them.
            timeout (`float`):
                Seconds for one task.
            batch_timeout (`float`):
                Seconds for all of them, the start of the nursery apart.

        Returns:
            `list`: a reply, or [`Failed`], for each task in order.
        """
        if os.getpid() != self._owner:
            # A fork of the process that started them: they answer to that one.
            self._nursery, self._idle, self._owner = None, [], os.getpid()
        results: list[Any] = [Failed("timeout", hurried=True)] * len(tasks)
        if not tasks:
            return results
        try:
            self._idle.append(self._take())
            end = time.monotonic() + batch_timeout
            fair = batch_timeout * self.num_workers / len(tasks)
            if fair < timeout:
                self._work(tasks, range(len(tasks)), fair / 2, end, results)
            late = [at for at, result in enumerate(results) if result == Failed("timeout", hurried=True)]
            for at in self._work(tasks, late, timeout, end, results):
                results[at] = Failed("timeout")
        except BaseException:
            # Ctrl-C among others: what is under way must not answer the next batch.
            self.close()
            raise
        return results

    def close(self) -> None:
        """Ends the workers and their nursery; the next task starts new ones."""
        nursery, self._nursery, self._idle = self._nursery, None, []
        if nursery is not None:
            nursery.end()

    def _work(
        self, tasks: Sequence[dict[str, Any]], order: Iterable[int], timeout: float, end: float, results: list[Any]
    ) -> list[int]:
        """Fills in `results`, and returns the tasks that were killed after all of `timeout`."""
        killed: list[int] = []
        queue = deque(order)
        died: set[int] = set()
        busy: dict[Connection, _Worker] = {}
        while busy or (queue and time.monotonic() < end):
            while queue and len(busy) < self.num_workers and time.monotonic() < end:
                worker = self._take()
                worker.start(queue.popleft(), tasks, min(time.monotonic() + timeout, end))
                busy[worker.connection] = worker
            soonest = min((worker.deadline for worker in busy.values()), default=end)
            for connection in wait(list(busy), max(0.0, soonest - time.monotonic())):
                worker = busy.pop(connection)
                reply = worker.reply()
                if reply == Failed("crash") and worker.task not in died:
                    # It may have been killed from outside, for another's hunger for memory: once more.
                    died.add(worker.task)
                    queue.appendleft(worker.task)
                else:
                    results[worker.task] = reply
                if worker.spent:
                    self._nursery.kill(worker)
                else:
                    self._idle.append(worker)
            for worker in [worker for worker in busy.values() if worker.deadline <= time.monotonic()]:
                self._nursery.kill(busy.pop(worker.connection))
                if worker.deadline < end:
                    killed.append(worker.task)
        return killed

    def _take(self) -> "_Worker":
        if self._idle:
            return self._idle.pop()
        if self._nursery is not None:
            try:
                return self._nursery.fork()
            except (EOFError, OSError):
                self.close()
        self._nursery = _Nursery(self.memory)
        return self._nursery.fork()


class _Worker:
    def __init__(self, pid: int, connection: Connection) -> None:
        self.pid = pid
        self.connection = connection
        self.tasks_done = 0
        self.spent = False

    def start(self, task: int, tasks: Sequence[dict[str, Any]], deadline: float) -> None:
        self.task, self.deadline = task, deadline
        try:
            self.connection.send_bytes(json.dumps(tasks[task]).encode())
        except OSError:
            # It was killed while it was idle; reply() reports that.
            return

    def reply(self) -> Any:
        self.tasks_done += 1
        try:
            message = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            self.spent = True
            return Failed("crash")
        self.spent = message["spent"] or self.tasks_done >= _TASKS_PER_WORKER
        return Failed("memory") if message["spent"] and message["reply"] is False else message["reply"]


class _Nursery:
    def __init__(self, memory: int) -> None:
        self._control, theirs = socket.socketpair()
        packages = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hicra_trl.rewards.nursery", str(theirs.fileno()), str(memory)],
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
        return _Worker(MESSAGE.unpack(reply)[1], Connection(ours.detach()))

    def kill(self, worker: _Worker) -> None:
        worker.connection.close()
        try:
            self._control.sendall(MESSAGE.pack(KILL, worker.pid))
        except OSError:
            # The nursery is gone, and its workers with it.
            return


def _end(control: socket.socket, process: subprocess.Popen) -> None:
    """Without its control socket a nursery ends its workers and itself."""
    control.close()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
