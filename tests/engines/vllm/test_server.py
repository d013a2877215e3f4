"""Server mode, as far as a CPU goes: a real server samples, and the weights would have to travel between GPUs."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from transformers import AutoModelForCausalLM
from trl.generation.vllm_client import VLLMClient

from hicra_trl import HICRAConfig, HICRATrainer
from training.helpers import settings, vowel_share


@contextmanager
def serve(model, log):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = subprocess.Popen(
        [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", port,
            "--host", "127.0.0.1", "--weight-transfer-config", '{"backend": "nccl"}',
            "--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1", "--seed", "3",
        ],
        env={**os.environ, "VLLM_SERVER_DEV_MODE": "1"},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def test_a_server_samples_from_the_model_and_says_that_its_weights_need_a_gpu(
    engine_model, tokenizer, prompts, lexicon_file, tmp_path
):
    with serve(engine_model, tmp_path / "log") as url:
        client = VLLMClient(base_url=url, connection_timeout=120)
        sampled = client.generate([[5, 6, 7], [8, 9]], n=4, max_tokens=8)
        assert len(sampled["completion_ids"]) == 8 and len({*map(tuple, sampled["completion_ids"])}) == 8
        args = HICRAConfig(
            strategic_grams=str(lexicon_file),
            **settings(tmp_path / "run", use_vllm=True, vllm_mode="server", vllm_server_base_url=url),
        )
        model = AutoModelForCausalLM.from_pretrained(engine_model)
        with pytest.raises(NotImplementedError, match="needs a CUDA device"):
            HICRATrainer(model, vowel_share, args, train_dataset=prompts, processing_class=tokenizer)
