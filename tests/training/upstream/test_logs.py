"""What TRL logs of prompts and completions, text or messages, is read by all who read it."""

import copy

import pandas as pd
import pytest

from hicra_trl import HICRATrainer
from hicra_trl.analysis.judge.solutions import read_solutions
from hicra_trl.analysis.sensitivity import sensitivity
from hicra_trl.analysis.viewer.rollouts import read_run
from hicra_trl.cli.highlight import read_texts

from ..helpers import config, vowel_share


PARTS = [{"type": "text", "text": "So what?"}]


@pytest.mark.parametrize(
    "prompt",
    [
        "So what?",
        [{"role": "user", "content": "So what?"}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "So what?"}],
        [{"role": "user", "content": PARTS}],
    ],
    ids=["text", "messages", "system", "parts"],
)
def test_completions_are_read_as_text(prompt, model, tokenizer, lexicon_file, prompts, tmp_path):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content if m.content is string else m.content[0].text }} {% endfor %}"
    )
    rows = prompts.remove_columns("prompt").add_column("prompt", [prompt] * len(prompts))
    logged = {"log_completions": True, "num_completions_to_print": 0, "max_steps": 2}
    args = config(tmp_path / "run", lexicon_file, **logged)
    trainer = HICRATrainer(model, vowel_share, args, rows, processing_class=tokenizer)
    trainer.train()
    ids = trainer._logs["completion"]
    said = [one if isinstance(one, str) else one[-1]["content"] for one in ids]
    assert {type(one) for one in ids} == {type(prompt)} and len(said) == 8 and all(said)

    run = tmp_path / "run"
    file = run / "completions" / "completions_00002.parquet"
    table = pd.read_parquet(file)
    assert isinstance(table["prompt"][0], str) == isinstance(prompt, str)
    assert [shown.text for shown in read_texts(file, 100)] == said
    solutions = read_solutions(file)
    assert [solution.text for solution in solutions] == said
    assert {solution.problem for solution in solutions} == {"So what?"}
    rollouts = list(read_run(run, steps=[2]).rollouts)
    assert {rollout.prompt for rollout in rollouts} == {"So what?"}
    assert [b"".join(piece for _, piece in rollout.pieces).decode() for rollout in rollouts] == said
    curves = sensitivity(run, trainer.labeler.grams, 0.5, [0])
    assert list(curves.steps) == [1, 2]
