import json
import random
import re
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hicra_trl.playground import (
    PHRASES,
    OrderPolicy,
    OrderProblem,
    Policy,
    PretrainConfig,
    judge,
    pretrain,
    sample,
)
from hicra_trl.playground.inspect import inspect, main
from hicra_trl.playground.orders import PAIRS
from hicra_trl.playground.pretrain import BASES, RECORD, _texts
from hicra_trl.playground.world import split_problems
from hicra_trl.playground.worlds import ORDERS, PLAYGROUND, WORLDS


TINY = PretrainConfig(hidden_size=32, num_layers=1, intermediate_size=32, steps=3, batch_size=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return pretrain(tmp_path_factory.mktemp("base"), TINY)


def test_a_finished_pretraining_is_not_repeated(base):
    record = (base / RECORD).read_text()
    modified = (base / "model.safetensors").stat().st_mtime_ns
    assert pretrain(base, TINY) == base
    assert (base / RECORD).read_text() == record
    assert (base / "model.safetensors").stat().st_mtime_ns == modified


def test_another_config_pretrains_again(tmp_path):
    pretrain(tmp_path, TINY)
    before = (tmp_path / "model.safetensors").read_bytes()
    other = PretrainConfig(**{**vars(TINY), "seed": 1})
    pretrain(tmp_path, other)
    assert (tmp_path / "model.safetensors").read_bytes() != before
    assert json.loads((tmp_path / RECORD).read_text())["fingerprint"] == other.fingerprint


def test_an_unfinished_pretraining_is_started_again(tmp_path):
    pretrain(tmp_path, TINY)
    (tmp_path / RECORD).unlink()
    pretrain(tmp_path, TINY)
    assert (tmp_path / RECORD).is_file()


def test_same_config_gives_the_same_weights(base, tmp_path):
    again = pretrain(tmp_path, TINY)
    weights = [AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (base / "tokenizer.json").read_text() == (again / "tokenizer.json").read_text()


def test_no_held_out_problem_is_pretrained_on_even_with_new_targets():
    config = PretrainConfig()
    training, held_out = ({problem.prompt for problem in problems} for problems in split_problems(config.seed))
    texts = _texts(PLAYGROUND, config, config.drill, random.Random(0), 5000, new_targets=1.0)
    prompts = {prompt for prompt, _ in texts}
    assert not prompts & held_out
    assert len(prompts - training) > 1000


def test_fingerprint_changes_with_every_part_of_the_config():
    configs = [TINY, PretrainConfig(), PretrainConfig(seed=1), PretrainConfig(policy=Policy(skip=0.1))]
    assert len({config.fingerprint for config in configs}) == len(configs)


def test_the_default_model_is_under_two_million_parameters(base):
    from hicra_trl.playground.pretrain import build_model

    assert build_model(PretrainConfig(), AutoTokenizer.from_pretrained(base)).num_parameters() < 2_000_000


def test_the_tokenizer_is_byte_level_and_keeps_numbers_whole(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer.eos_token_id is not None and tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    for text in ("Let's try – 日本 🙂 \\boxed{}\n", *PHRASES["propose"]):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    for number in range(1, 31):
        assert len(tokenizer(f" {number}")["input_ids"]) == 1, number


def test_sampling_is_bounded_repeatable_and_leaves_the_random_state(base):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    problems = split_problems(0)[1][:5]
    state = torch.random.get_rng_state()
    first, repeated = sample(model, tokenizer, problems, samples_per_problem=2, max_new_tokens=12, batch_size=4)
    assert torch.equal(torch.random.get_rng_state(), state)
    second, _ = sample(model, tokenizer, problems, samples_per_problem=2, max_new_tokens=12, batch_size=4)
    other, _ = sample(model, tokenizer, problems, samples_per_problem=2, max_new_tokens=12, batch_size=4, seed=1)
    assert first == second != other
    assert len(first) == 10 and repeated[:3] == [problems[0], problems[0], problems[1]]


def test_judge_counts_every_class_and_every_step():
    problem = split_problems(0)[1][0]
    a, b, c = problem.numbers
    wrong = f"Maybe {a} + {b} + {c}. Let me verify: {a + b} + {c} = 99, {problem.target} missed. What am i missing?"
    completions = [
        f"So \\boxed{{{problem.solution}}}",
        wrong + " \\boxed{none}",
        "What am i missing? \\boxed{none}",
        "",
    ]
    summary = judge(completions, [problem] * 4)
    assert summary.accuracy == 0.25
    assert summary.num_steps == 3 and summary.step_accuracy == pytest.approx(2 / 3)
    assert summary.outcomes["execution: wrong step"] == summary.outcomes["strategy: gave up"] == 0.25
    assert sum(summary.outcomes.values()) == 1.0


def test_judge_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="got 1 completions and 0 problems"):
        judge(["x"], [])


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_no_held_out_problem_of_a_world_is_pretrained_on(world):
    config = BASES[world.name]["base"]
    held_out = {(*problem.numbers, problem.target) for problem in world.split(config.seed)[1]}
    texts = _texts(world, config, config.drill, random.Random(0), 3000, config.new_targets)
    assert not held_out & {tuple(map(int, re.findall(r"\d+", prompt))) for prompt, _ in texts}


def test_an_exercise_teaches_no_choice_of_a_move():
    """What is learned of it begins after the phrase of its move, and reads back with that phrase before it."""
    config = BASES["orders"]["base"]
    for prompt, completion in _texts(ORDERS, config, config.drill, random.Random(0), 300, new_targets=1.0):
        question, _, phrase = prompt.partition("\n")
        if phrase:
            *numbers, target = map(int, re.findall(r"\d+", question))
            trace = ORDERS.read(phrase + completion, OrderProblem(tuple(numbers), target))
            assert trace.outcome != "unparsed" and trace.attempts[0].place == (0, len(phrase))


@pytest.mark.parametrize("argv", [[], ["orders", "strongest"], ["hills"], ["orders", "weak", "more"]])
def test_inspecting_nothing_that_is_there_is_one_line(argv, capsys):
    assert main(argv) == 2
    message = capsys.readouterr().err
    assert (
        message.count("\n") == 1 and "expected WORLD [BASE]: playground (base), orders (base, weak, strong)" in message
    )


def test_what_is_inspected_of_a_base(tmp_path):
    folder = pretrain(tmp_path, replace(TINY, drill=OrderPolicy(), policy=OrderPolicy()), ORDERS)
    shown = inspect(ORDERS, folder, samples_per_problem=1)
    assert "433 problems for training, 100 held out, 0 in both" in shown
    for words in (*PAIRS, "first choice", "only way", "unparsed", "steps right", "s of pretraining"):
        assert words in shown
