"""Training goes on whatever a model writes: the grader is real, its completions are hostile."""

import contextlib
import itertools

import psutil
import pytest

from hicra_trl import BoxedAccuracyReward, HICRATrainer
from hicra_trl.rewards import Grader

from .helpers import config


WRITTEN = (
    r"\boxed{%d^{9^{9^9}}+x}",
    r"\boxed{(%d^{2^{100}})!+x}",
    r"\boxed{%d+\boxed{7",
    r"\boxed{" * 5000 + "%d",
    r"\boxed{\text{%d" + " " * 900 + "x}}",
    "\0\ud800\u202e%d",
    r"\boxed{__import__('os')._exit(%d)}",
    "%d",
)


class HostileModel(BoxedAccuracyReward):
    """Grades what no model should write in place of what the tiny model wrote; no two of it are alike."""

    def __init__(self, grader, disturb=None):
        super().__init__(grader)
        self.numbers, self.disturb, self.graded = itertools.count(11), disturb, []

    def __call__(self, completions, **kwargs):
        if self.disturb is not None and self.graded:
            self.disturb()
        written = [
            text.replace("%d", str(next(self.numbers))) for text, _ in zip(itertools.cycle(WRITTEN), completions)
        ]
        if isinstance(completions[0], list):
            written = [[{"role": "assistant", "content": text}] for text in written]
        self.graded += written
        return super().__call__(written, **kwargs)


@pytest.fixture
def train(model, tokenizer, prompts, lexicon_file, tmp_path):
    def run(reward, dataset=prompts, **overrides):
        args = config(tmp_path / "run", lexicon_file, max_steps=3, **overrides)
        trainer = HICRATrainer(model, reward, args, train_dataset=dataset, processing_class=tokenizer)
        trainer.train()
        return [entry for entry in trainer.state.log_history if "loss" in entry]

    return run


@pytest.fixture
def grader():
    with Grader(num_workers=2, timeout=0.3, batch_timeout=3.0) as grader:
        yield grader


def test_training_survives_completions_that_are_all_hostile(train, grader):
    reward = HostileModel(grader)
    logs = train(reward)
    assert [entry["step"] for entry in logs] == [1, 2, 3] and len(reward.graded) == 24
    for entry in logs:
        assert entry["reward"] == 0.0
        assert entry["rewards/answered"] == 0.5
        assert entry["rewards/grader_timeouts"] == 2.0
        assert entry["rewards/grader_out_of_memory"] == entry["rewards/grader_crashes"] == 0.0


def test_training_survives_the_death_of_all_grading_processes_between_steps(train, grader):
    def kill():
        for process in psutil.Process().children(recursive=True):
            # A worker of an earlier round may be about to be waited for.
            with contextlib.suppress(psutil.NoSuchProcess):
                if "hicra_trl.rewards.fork_server" in process.cmdline():
                    process.kill()
                    killed.append(process)

    killed = []
    logs = train(HostileModel(grader, disturb=kill))
    assert len(logs) == 3 and len({process.pid for process in killed}) >= 2
    assert all(entry["rewards/grader_timeouts"] == 2.0 for entry in logs)


def test_a_right_answer_among_hostile_ones_is_what_the_model_learns_from(train, grader):
    class OneIsRight(HostileModel):
        def __call__(self, completions, solution, **kwargs):
            rewards = super().__call__(completions, solution=solution, **kwargs)
            right = self.grader([r"\boxed{\frac{14}{2}}"] * 2, solution[:2])
            return [float(right[0].correct), *rewards[1:]]

    logs = train(OneIsRight(grader))
    assert [entry["reward"] for entry in logs] == [pytest.approx(1 / 8)] * 3
    assert all(entry["grad_norm"] > 0 for entry in logs)
