"""The grading processes: started late, reused, replaced when killed, and gone when their owner is, however it ends."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from hicra_trl.rewards import BoxedAccuracyReward, Grader, workers


RUNNING = "import os, signal, sys, time\nfrom hicra_trl.rewards import Grader\n"


def benign(n):
    """A pair that only algebra can decide, as completion and gold answer."""
    return rf"\boxed{{b+{n}a}}", f"{n}a+b"


def hanging(n):
    return rf"\boxed{{{n}^{{9^{{9^9}}}}+x}}", "7"


def grade_all(grader, pairs):
    return grader(*map(list, zip(*pairs)))


def correct(grader, *pairs):
    return [verdict.correct for verdict in grade_all(grader, pairs)]


def alive(processes):
    running = []
    for process in processes:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
        except psutil.NoSuchProcess:
            continue
    return running


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def kill(processes):
    for process in processes:
        # A worker ends with its fork server.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def seconds(processes):
    """Processor time that they have used."""
    used = 0.0
    for process in alive(processes):
        try:
            used += process.cpu_times().user
        except psutil.NoSuchProcess:
            continue
    return used


@pytest.fixture
def started():
    """The living processes that the test has started: nurseries first."""
    me = psutil.Process()
    before = set(me.children(recursive=True))
    return lambda: [process for process in alive(me.children(recursive=True)) if process not in before]


@pytest.fixture
def grader():
    with Grader(num_workers=2, timeout=1.0, batch_timeout=10.0) as grader:
        yield grader


@pytest.fixture(scope="module")
def shared():
    """A grader for tests that leave its processes as they are."""
    with Grader(num_workers=2, timeout=1.0, batch_timeout=10.0) as grader:
        yield grader


def test_no_process_starts_before_the_first_undecided_pair(grader, started):
    assert correct(grader, (r"\boxed{7}", "7"), (r"\boxed{(1,2)}", "(2,1)"), ("7", "7")) == [True, False, False]
    assert not started()
    assert correct(grader, benign(2)) == [True]
    assert started()


def test_verdicts_come_in_the_order_of_the_pairs(shared):
    pairs = [benign(n) if n % 3 else (benign(n)[0], benign(n + 1)[1]) for n in range(2, 40)]
    assert correct(shared, *pairs) == [n % 3 != 0 for n in range(2, 40)]


def test_workers_are_reused_between_calls(grader, started):
    assert correct(grader, benign(2), benign(3), benign(4)) == [True] * 3
    before = set(started())
    for n in range(5, 15):
        assert correct(grader, benign(n), benign(n + 100)) == [True] * 2
    assert before <= set(started()) and len(started()) <= 3


def test_a_pair_is_compared_once(grader, started):
    pairs = [benign(2), benign(2), hanging(9)]
    first = grade_all(grader, pairs)
    assert [verdict.failure for verdict in first] == [None, None, "timeout"]
    kill(started())
    assert wait_for(lambda: not started())
    assert grade_all(grader, pairs) == first
    assert not started()


def test_a_full_cache_forgets_the_oldest(started):
    with Grader(num_workers=1, cache_size=1) as grader:
        assert correct(grader, benign(2), benign(3)) == [True] * 2
        kill(started())
        assert wait_for(lambda: not started())
        assert correct(grader, benign(3)) == [True]
        assert not started()
        assert correct(grader, benign(2)) == [True]
        assert started()


def test_a_worker_killed_while_idle_costs_nothing(grader, started):
    assert correct(grader, benign(2)) == [True]
    fork_server, *workers = started()
    for worker in workers:
        worker.kill()
    assert wait_for(lambda: alive([fork_server]) == started())
    assert correct(grader, benign(3)) == [True]


def test_a_fork_server_that_was_killed_is_replaced(grader, started):
    assert correct(grader, benign(2)) == [True]
    started()[0].kill()
    assert wait_for(lambda: not started())
    pairs = [benign(3), hanging(9), benign(4), hanging(8), benign(5)]
    assert correct(grader, *pairs) == [True, False, True, False, True]


def test_no_worker_outlives_a_fork_server_that_was_killed(grader, started):
    assert correct(grader, benign(2)) == [True]
    family = started()
    family[0].kill()
    grade_all(grader, [hanging(9)])
    grader.close()
    assert wait_for(lambda: not alive(family))


def test_a_worker_that_dies_at_work_is_a_crash_and_nothing_else_suffers(started):
    with Grader(num_workers=1, timeout=15.0, batch_timeout=30.0) as grader:
        assert correct(grader, benign(2)) == [True]
        over = threading.Event()

        def kill():
            # Again and again: one death may be bad luck, and the comparison is then done once more.
            while not over.wait(0.02):
                for worker in started()[1:]:
                    if seconds([worker]) > 0.5:
                        worker.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        verdicts = grade_all(grader, [hanging(9), benign(3), benign(4)])
        over.set()
        killer.join()
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [
        (False, "crash"),
        (True, None),
        (True, None),
    ]


def test_a_worker_that_no_longer_answers_is_replaced(started):
    with Grader(num_workers=1, timeout=1.0) as grader:
        assert correct(grader, benign(2)) == [True]
        started()[-1].suspend()
        begin = time.monotonic()
        assert [verdict.failure for verdict in grade_all(grader, [benign(3), benign(4)])] == ["timeout", None]
        assert time.monotonic() - begin < 10
        assert correct(grader, benign(5)) == [True]


def test_memory_has_a_limit_and_what_exceeds_it_harms_nothing(started):
    limit = 80 << 20
    with Grader(num_workers=1, timeout=6.0, memory_limit=limit) as grader:
        peaks = []
        over = threading.Event()

        def watch():
            while not over.wait(0.02):
                for worker in started()[1:]:
                    try:
                        peaks.append(worker.memory_info().vms)
                    except psutil.NoSuchProcess:
                        continue

        watcher = threading.Thread(target=watch)
        watcher.start()
        verdicts = grade_all(grader, [(r"\boxed{2^{2^{27}}+x}", "7"), benign(2)])
        over.set()
        watcher.join()
        assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(False, "memory"), (True, None)]
        assert peaks and max(peaks) <= limit


def test_a_hundred_hanging_answers_do_not_starve_the_right_ones(started):
    pairs = [hanging(n) for n in range(2, 102)]
    at = range(0, 120, 6)
    for position, n in zip(at, range(2, 22)):
        pairs.insert(position, benign(n))
    with Grader(num_workers=2) as grader:
        verdicts = grade_all(grader, pairs)
        # Twelve seconds of each of the two, on the clock too where each has a processor.
        spent = started()[0].cpu_times()
        assert spent.children_user + spent.children_system < 30
    assert [index for index, verdict in enumerate(verdicts) if verdict.correct] == list(at)
    assert sum(verdict.failure == "timeout" for verdict in verdicts) == 100


def test_the_reward_counts_what_could_not_be_finished(shared):
    logged, table = {}, {}
    completions, golds = zip(hanging(9), benign(2), ("7", "7"), hanging(9))
    reward = BoxedAccuracyReward(shared)
    rewards = reward(completions, golds, log_metric=logged.__setitem__, log_extra=table.__setitem__)
    assert rewards == [0.0, 1.0, 0.0, 0.0]
    assert logged == {
        "rewards/answered": 0.75,
        "rewards/grader_timeouts": 2.0,
        "rewards/grader_out_of_memory": 0.0,
        "rewards/grader_crashes": 0.0,
        "rewards/grader_timeout_fraction": 0.5,
    }
    assert table == {"answer": ["9^{9^{9^9}}+x", "b+2a", "", "9^{9^{9^9}}+x"]}


def test_several_threads_share_a_grader(shared):
    verdicts = {}

    def work(thread):
        pairs = [benign(100 * thread + n) if n % 2 else (benign(n)[0], "c") for n in range(20)]
        verdicts[thread] = correct(shared, *pairs)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == dict.fromkeys(range(1, 5), [False, True] * 10)


def test_alarms_of_the_caller_are_left_alone(shared):
    def handler(*args):
        raise AssertionError("the timer went off early")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        assert correct(shared, benign(2), hanging(9)) == [True, False]
        assert 30 < signal.getitimer(signal.ITIMER_REAL)[0] < 60
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("delay", [0.05, 0.5])
def test_an_interruption_while_the_first_worker_starts_leaves_nothing_behind(delay, grader, started):
    def interrupt(*args):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        with pytest.raises(KeyboardInterrupt):
            grade_all(grader, [hanging(9), hanging(8)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    pairs = [hanging(7), benign(2), hanging(6), benign(3), benign(4)]
    assert correct(grader, *pairs) == [False, True, False, True, True]
    # Whatever hung is dead: nothing computes any more.
    family = started()
    used = seconds(family)
    time.sleep(1.0)
    assert seconds(family) - used < 0.1


def test_a_grader_pickles_with_its_settings_and_without_its_processes(grader, started):
    assert correct(grader, benign(2)) == [True]
    family = started()
    settings = {"num_workers": 3, "timeout": 0.5, "batch_timeout": 7.0, "memory_limit": 1 << 30, "after_think": True}
    with pickle.loads(pickle.dumps(Grader(**settings))) as copy:
        assert copy.__reduce__() == Grader(**settings).__reduce__()
        assert started() == family
        assert correct(copy, (f"</think>{benign(3)[0]}", benign(3)[1]), benign(3)) == [True, False]
    with pickle.loads(pickle.dumps(grader)) as copy:
        assert correct(copy, benign(2)) == [True]
    assert pickle.loads(pickle.dumps(BoxedAccuracyReward(grader))).grader.timeout == 1.0


def test_a_fork_has_workers_of_its_own_and_the_parent_keeps_its(grader, started):
    assert correct(grader, benign(2)) == [True]
    family = started()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(correct(grader, benign(3), hanging(9), benign(4))).encode())
        grader.close()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as replies:
        assert json.load(replies) == [True, False, True]
    os.waitpid(child, 0)
    assert correct(grader, benign(5), benign(6)) == [True, True]
    assert set(family) <= set(started())


@pytest.mark.skipif(sys.platform != "linux", reason="priorities and processors of processes are Linux's")
def test_a_busy_machine_makes_no_right_answer_wrong(started):
    burn = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    with Grader(num_workers=1, timeout=0.1, batch_timeout=0.2) as grader:
        assert correct(grader, benign(2)) == [True]
        busy = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2)]
        try:
            for process in started():
                if process.pid not in {burner.pid for burner in busy}:
                    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
                    os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
            pairs = [(rf"\boxed{{(x+{n})^6-(x+{n})^5}}", rf"(x+{n})^5(x+{n - 1})") for n in range(2, 12)]
            assert correct(grader, *pairs) == [True] * len(pairs)
        finally:
            for process in busy:
                process.kill()
                process.wait()


def test_a_task_waits_for_a_processor_as_long_as_it_takes(started, capsys, monkeypatch):
    with Grader(num_workers=1, timeout=0.1, batch_timeout=0.2) as grader:
        assert correct(grader, benign(2)) == [True]
        worker = started()[-1]
        # As the system would say of one that is given no processor.
        monkeypatch.setattr(workers, "_state_and_seconds", lambda pid, before: ("R", 0.0))
        worker.suspend()
        resumed = threading.Timer(0.6, worker.resume)
        resumed.start()
        begin = time.monotonic()
        assert correct(grader, benign(3)) == [True]
        assert time.monotonic() - begin > 0.5
        resumed.join()
    assert "the machine is busy" in capsys.readouterr().err


@pytest.fixture
def script(tmp_path):
    """Starts a script; its first line of output says that it is ready."""
    processes = []

    def start(code, *launcher):
        file = tmp_path / "script.py"
        file.write_text(RUNNING + code)
        process = subprocess.Popen(
            [sys.executable, *launcher, file],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process, psutil.Process(process.pid).children(recursive=True)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


GRADED = r"""
grader = Grader(num_workers=2, timeout=60, batch_timeout=60)
assert grader([r"\boxed{b+a}", r"\boxed{b+2a}"], ["a+b", "2a+b"])[1].correct
print("ready", flush=True)
sys.stdin.readline()
"""
ENDINGS = {"normal": "", "sys.exit": "sys.exit(3)", "exception": "1 / 0", "os._exit": "os._exit(4)"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_processes_end_with_the_script_that_has_no_main_guard(ending, tmp_path):
    file = tmp_path / "script.py"
    file.write_text(RUNNING + GRADED + ENDINGS[ending])
    process = subprocess.Popen(
        [sys.executable, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(alive(family)) >= 2
    _, errors = process.communicate("\n", timeout=20)
    assert process.returncode == {"normal": 0, "sys.exit": 3, "exception": 1, "os._exit": 4}[ending]
    assert errors == "" or (ending == "exception" and errors.count("Traceback") == 1)
    assert wait_for(lambda: not alive(family))


IN_THE_MIDDLE = r"""
# A shell starts a job in the background with SIGINT ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
grader = Grader(num_workers=2, timeout=60, batch_timeout=60)
assert grader([r"\boxed{b+a}"], ["a+b"])[0].correct
print("ready", flush=True)
begin = time.monotonic()
try:
    grader([r"\boxed{9^{9^{9^9}}+x}", r"\boxed{8^{9^{9^9}}+x}"], ["7", "7"])
except KeyboardInterrupt:
    print(time.time(), flush=True)
    print([verdict.correct for verdict in grader([r"\boxed{b+2a}", r"\boxed{b+3a}"], ["2a+b", "4a+b"])], flush=True)
"""


def hangs(process):
    """Waits until both workers compute, and returns all processes of the script."""

    def family():
        return psutil.Process(process.pid).children(recursive=True)

    assert wait_for(lambda: sum(seconds([child]) > 0.3 for child in family()[1:]) == 2)
    return family()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_a_script_that_is_killed_at_work(number, script):
    process, _ = script(IN_THE_MIDDLE)
    family = hangs(process)
    process.send_signal(number)
    assert process.wait(10) == -number
    assert wait_for(lambda: not alive(family))


def test_ctrl_c_reaches_the_caller_at_once_and_the_next_batch_is_right(script):
    process, _ = script(IN_THE_MIDDLE)
    family = hangs(process)
    pressed = time.time()
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    arrived, verdicts = out.splitlines()
    assert float(arrived) - pressed < 20.0
    assert (verdicts, errors, process.returncode) == ("[True, False]", "", 0)
    assert wait_for(lambda: not alive(family))


ON_RANKS = r"""
import torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
grader = Grader(num_workers=1, timeout=1)
golds = ["7", "2a+b", "3a+b"]
verdicts = grader([r"\boxed{9^{9^{9^9}}+x}", r"\boxed{b+2a}", rf"\boxed{{b+{2 + rank}a}}"], golds)
gathered = [None, None]
dist.all_gather_object(gathered, [verdict.correct for verdict in verdicts])
if rank == 0:
    print("ready", flush=True)
    print(gathered, flush=True)
dist.destroy_process_group()
"""


def test_every_rank_has_workers_of_its_own(script):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    process, family = script(ON_RANKS, *launcher)
    out, errors = process.stdout.read(), process.stderr.read()
    assert process.wait(60) == 0, errors
    assert out == "[[False, True, False], [False, True, True]]\n"
    assert wait_for(lambda: not alive(family))


@pytest.mark.parametrize("settings", [{"num_workers": 0}, {"timeout": 0}, {"batch_timeout": -1}])
def test_settings_that_cannot_grade_are_refused(settings):
    with pytest.raises(ValueError, match="num_workers of at least 1"):
        Grader(**settings)


def test_every_pair_has_a_gold_answer(shared):
    with pytest.raises(ValueError):
        shared([r"\boxed{1}"], [])
