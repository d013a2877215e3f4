"""A card says nothing that is not so: base, example, settings and numbers are those of the run."""

import ast
import json
import re

import pytest
from trl.trainer.utils import generate_model_card

from hicra_trl.training.card import complete_card
from hicra_trl.training.config import HICRAConfig


LOGS = [
    {"step": 2, "reward": 0.25, "held_out/pass_at_1": 0.2},
    {"step": 4, "reward": 0.5},
    {"step": 6, "reward": 0.75, "completions/mean_length": 71.25},
    {"step": 6, "held_out/pass_at_1": 0.6},
]
CHAT = [{"role": "user", "content": 'What is "3 + 4"?\nSay \\boxed{7}.'}]


@pytest.fixture
def complete(tmp_path, grams):
    def card(base=None, prompt=None, logs=(), hub_model_id=None):
        written = generate_model_card(base, "tiny", hub_model_id, None, ["hicra"], None, None, "HICRA")
        config = HICRAConfig(
            str(tmp_path / "run"), use_cpu=True, bf16=False, report_to=[], num_generations=4, max_completion_length=99
        )
        complete_card(written, config, grams, logs, base or str(tmp_path / "base"), prompt, is_trained=False)
        return written

    return card


def test_a_model_that_is_not_on_the_hub_has_no_links_to_none(complete, tmp_path):
    card = complete()
    assert "None" not in card.content and "licence" not in card.content
    assert "a fine-tuned version of `base`" in card.text and str(tmp_path / "base") not in card.text
    there = complete(base="Qwen/Qwen3-0.6B", hub_model_id="me/tiny").text
    assert "[Qwen/Qwen3-0.6B](https://huggingface.co/Qwen/Qwen3-0.6B)" in there and 'model="me/tiny"' in there


@pytest.mark.parametrize("prompt", [CHAT, "3 + 4 = \\boxed{", None], ids=["chat", "text", "images"])
def test_the_example_asks_as_the_training_did(complete, prompt):
    [code] = re.findall(r"```python\n(.*?)```", complete(prompt=prompt).text, re.DOTALL)
    assigned = [node for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    values = {ast.unparse(node.targets[0]): node.value for node in assigned}
    if prompt is None:
        assert "time machine" in code
    else:
        assert ast.literal_eval(values["prompt"]) == prompt and "question" not in values
        assert "generator(prompt, max_new_tokens=99, return_full_text=False)" in code


def test_settings_numbers_and_command_are_there(complete, tmp_path):
    assert "```bash" not in complete().text and "| first |" not in complete().text
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({"command": "hicra train --config mine.yaml"}))
    text = complete(logs=LOGS).text
    assert "A step had 8 completions, 4 of each prompt, of up to 99 tokens; learning rate 1e-06, seed 42." in text
    assert "```bash\nhicra train --config mine.yaml\n```" in text
    assert "| reward | 0.25 (step 2) | 0.75 (step 6) |\n| pass@1, held out | 0.2 (step 2) | 0.6 (step 6) |" in text
    assert "| tokens per completion | 71.2 (step 6) | 71.2 (step 6) |" in text
    assert text.index("## Hierarchy-aware") < text.index("| reward |") < text.index("### Framework versions")
