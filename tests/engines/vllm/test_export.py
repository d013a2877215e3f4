"""What `hicra export` makes of an adapter is a model that vLLM serves."""

import json
import os
import subprocess
import sys

import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer

from hicra_trl import HICRATrainer
from hicra_trl.training.export.export import export
from hicra_trl.training.export.weights import find_trained
from training.helpers import config, vowel_share


TEXT = "But why? Now 5 times 6. Let's add 3 and 4."
ENGINE = """
import json, sys
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    engine = LLM(sys.argv[1], dtype="float32", enforce_eager=True, max_model_len=160, gpu_memory_utilization=0.1)
    ids = json.loads(sys.argv[2])
    wanted = SamplingParams(max_tokens=1, prompt_logprobs=0)
    output = engine.generate([{"prompt_token_ids": ids}], wanted, use_tqdm=False)[0]
    print(json.dumps([scores[token].logprob for token, scores in zip(ids[1:], output.prompt_logprobs[1:])]))
"""


@torch.no_grad()
def scores(folder, ids):
    logps = AutoModelForCausalLM.from_pretrained(folder)(ids).logits[:, :-1].log_softmax(-1)
    return logps.gather(-1, ids[:, 1:, None]).flatten()


def test_vllm_serves_an_adapter_that_was_added_to_its_base(engine_model, prompts, lexicon_file, tmp_path):
    trainer = HICRATrainer(
        model=str(engine_model),
        reward_funcs=vowel_share,
        args=config(
            tmp_path / "run", lexicon_file, learning_rate=3e-2, max_steps=8, save_strategy="steps", save_steps=8
        ),
        train_dataset=prompts,
        peft_config=LoraConfig(r=8, lora_alpha=32, target_modules="all-linear"),
    )
    trainer.train()
    folder = export(find_trained(tmp_path / "run"), tmp_path / "exported")
    ids = AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    done = subprocess.run(
        [sys.executable, "-c", ENGINE, str(folder), json.dumps(ids)],
        env={**os.environ, "MASTER_PORT": "29555"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    served = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    exported, base = (scores(path, torch.tensor([ids])) for path in (folder, engine_model))
    assert (exported - base).abs().max() > 0.2
    assert (served - exported).abs().max() < 1e-3
