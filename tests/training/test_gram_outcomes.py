"""The file of gram outcomes says at each checkpoint what was counted, and a resume continues it."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import TrainerState, TrainingArguments

from hicra_trl import HICRATrainer
from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.grams import StrategicGrams
from hicra_trl.training.assigner import CreditAssigner
from hicra_trl.training.credit.outcome import GramOutcomes
from hicra_trl.training.gram_outcomes import GramOutcomesRecorder
from hicra_trl.training.runs.files import GRAM_OUTCOMES_FILE
from hicra_trl.training.runs.gram_outcomes import GramOutcome, add_gram_outcomes, read_gram_outcomes

from .helpers import config, vowel_share


GRAMS = StrategicGrams(["but wait", "let me verify", "等一下", "so"])


def count(credit, seed):
    """One more generation of made-up completions, of which none has the last gram."""
    random = torch.Generator().manual_seed(seed)
    present = torch.rand(16, 4, generator=random) < torch.tensor([0.5, 0.3, 0.7, 0.0])
    correct, groups = torch.rand(16, generator=random) < 0.5, torch.arange(16) // 4
    credit.outcomes = credit.outcomes.add(present, correct, groups, window=20)


class Run:
    """A run without a model: a generation a step, a checkpoint every second one."""

    def __init__(self, folder, lexicon_file, is_main=True):
        self.args = TrainingArguments(str(folder), report_to="none")
        self.credit = CreditAssigner(config(folder, lexicon_file), GRAMS, SimpleNamespace(num_processes=1))
        self.recorder = GramOutcomesRecorder(self.credit, GRAMS)
        self.state = TrainerState(is_world_process_zero=is_main)

    def train(self, last, checkpoint=None):
        """Up to a step, from a checkpoint; the new checkpoint of each of its steps that has one."""
        if checkpoint:
            self.state.global_step = checkpoint["step"]
            self.credit.restore(checkpoint["credit"])
        self.recorder.on_train_begin(self.args, self.state, None)
        made = {}
        for step in range(self.state.global_step + 1, last + 1):
            self.state.global_step = step
            count(self.credit, step)
            if step % 2 == 0:
                made[step] = {"step": step, "credit": self.credit.checkpoint_state()}
                self.recorder.on_save(self.args, self.state, None)
        return made

    def end(self):
        self.recorder.on_train_end(self.args, self.state, None)


@pytest.fixture
def begin(tmp_path, lexicon_file):
    return lambda name="run", **kwargs: Run(tmp_path / name, lexicon_file, **kwargs)


def test_each_checkpoint_and_the_end_have_what_was_counted_up_to_them(begin, tmp_path):
    run = begin()
    made = run.train(5)
    run.end()
    outcomes = read_gram_outcomes(tmp_path / "run")
    assert list(outcomes) == [2, 4, 5]
    then = GramOutcomes.from_json(made[4]["credit"]["outcomes"])
    columns = GRAMS, then.right.tolist(), then.wrong.tolist(), then.score().tolist()
    expected = [GramOutcome(gram, right + wrong, right, wrong, s) for gram, right, wrong, s in zip(*columns)][:3]
    assert outcomes[4] == expected and len({row.s for row in expected}) == 3


@pytest.mark.parametrize("killed_at", [4, 5, 6])
def test_a_resumed_run_leaves_the_file_of_one_that_was_not_stopped(begin, tmp_path, killed_at):
    whole = begin("whole")
    made = whole.train(7)
    whole.end()
    begin("run").train(killed_at)
    again = begin("run")
    again.train(7, checkpoint=made[4])
    again.end()
    files = [(tmp_path / name / GRAM_OUTCOMES_FILE).read_bytes() for name in ("whole", "run")]
    assert files[0] == files[1]


def test_a_run_that_was_killed_between_its_checkpoint_and_the_file_loses_nothing(begin, tmp_path):
    made = begin("whole").train(4)
    begin("run").train(3)
    begin("run").train(4, checkpoint=made[4])
    files = [(tmp_path / name / GRAM_OUTCOMES_FILE).read_bytes() for name in ("whole", "run")]
    assert files[0] == files[1]


def test_a_new_run_drops_what_an_old_one_left(begin, tmp_path):
    begin().train(4)
    begin().train(0)
    assert read_gram_outcomes(tmp_path / "run") == {}


def test_the_main_process_alone_writes(begin, tmp_path):
    begin(is_main=False).train(4)
    assert not (tmp_path / "run").exists()


def test_what_is_no_such_file_is_one_line(tmp_path):
    file = tmp_path / GRAM_OUTCOMES_FILE
    with pytest.raises(ValueError, match=r"^no gram_outcomes.parquet in .*: expected the folder of a run"):
        read_gram_outcomes(tmp_path)
    file.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(ValueError, match=f"^cannot read {file}: [^\n]*$"):
        read_gram_outcomes(tmp_path)
    with pytest.raises(ValueError, match=f"^cannot read {file}"):
        add_gram_outcomes(tmp_path, 1, [])
    pq.write_table(pa.table({"gram": ["so"]}), file)
    with pytest.raises(ValueError, match=r"expected the columns step, gram, n, .* got gram string$"):
        read_gram_outcomes(tmp_path)


def test_a_training_counts_what_its_token_record_shows(model, tokenizer, prompts, lexicon_file, tmp_path):
    """GRPO too: alpha is 0."""
    with torch.no_grad():
        model.lm_head.weight[[tokenizer.encode(word)[0] for word in (" so", " but", " wait", " now")]] *= 20
    settings = {"alpha": 0.0, "max_steps": 3, "token_record": 1, "pass_threshold": 0.1}
    args = config(tmp_path, lexicon_file, save_strategy="steps", save_steps=2, **settings)
    HICRATrainer(model, vowel_share, args, train_dataset=prompts, processing_class=tokenizer).train()
    record, seen = TokenRecord.read(tmp_path), {}
    outcomes = read_gram_outcomes(tmp_path)
    assert list(outcomes) == [2, 3]
    for step in (1, 2, 3):
        for row in record.rows(step):
            for gram in {row.header.grams[index] for index in row.gram if index >= 0}:
                seen.setdefault(gram, [0, 0])[int(row.rewards[0] >= 0.1)] += 1
        if step in outcomes:
            assert {row.gram: [row.wrong, row.right] for row in outcomes[step]} == seen
    assert any(row.s > 0 for row in outcomes[3]) and any(row.s < 0 for row in outcomes[3])
