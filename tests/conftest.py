"""A tiny real model and tokenizer, made once per session; rows of data, ours and real; which tests are slow."""

import copy
import json
import os
import signal
from pathlib import Path


# Tiny models are fastest on one thread; two of them thrash as soon as anything else runs.
os.environ.update({"HF_HUB_OFFLINE": "1", "CI": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"})
# Where there is no GPU, DeepSpeed would say so whenever a model is saved.
os.environ.setdefault("DS_ACCELERATOR", "cpu")

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from hicra_trl.grams import StrategicGrams


TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
# Rows that we wrote ourselves, and the real files where they lie beside the project.
OUR_DATA = TESTS / "data_of_ours"
REAL_DATA = REPOSITORY.parent / "shared" / "data"
DATA_FOLDERS = [OUR_DATA, *([REAL_DATA] if REAL_DATA.is_dir() else [])]
# What `make check` leaves out, by folder, file or test.
MARKS = {
    "engines": "engines",
    "ranks": """engines/test_ranks.py engines/vllm/test_ranks.py dynamics/test_meter.py::test_two_ranks
        training/sampling/test_dynamic_sampling.py::test_groups_may_lie""",
    "training": """training/test_trainer.py training/test_peft.py training/test_push_to_hub.py
        training/test_held_out.py training/test_smollm2.py training/test_hostile_rewards.py training/test_newest_trl.py
        training/test_async_grpo.py training/upstream/test_losses.py training/upstream/test_logs.py
        training/upstream/test_vision.py training/export/test_export.py training/sampling training/runs
         training/test_token_record.py training/test_gram_outcomes.py::test_a_training training/test_assigner.py
         recipes/test_recipe_steps.py playground/test_pretrain.py
         benchmarks/test_on_gpu.py cli/test_cli.py claims/test_campaign.py test_pages.py
        test_notebooks.py::test_playground
        test_gguf.py::test_a_run test_gguf.py::test_a_file_that""",
    "browser": "test_site.py::test_pages_in_a_browser",
    "slow": """cli/test_mining_commands.py cli/test_eval.py::test_results_are_pushed evaluation/report/test_hub.py
        grams/test_hub.py metrics/test_metrics.py::test_each_folder recipes/test_recipe_plans.py
        rewards/equality/test_expressions.py rewards/test_adversarial.py rewards/test_agreement.py
        rewards/test_grader.py rewards/test_strangers.py rewards/equality/test_values.py
        training/credit/test_controls.py training/test_rewards.py evaluation/test_evaluate.py playground/test_traces.py
        grams/test_lexicon.py::test_every_letter cli/test_judge.py::test_a_judge_that_is_killed
        grams/test_real_tokenizers.py test_gguf.py::test_of_several test_gguf.py::test_a_file_on_the_hub
        test_wheel.py test_scheduling.py test_site.py test_notebooks.py::test_label""",
}
# Words that the tokenizer has whole, so that a model which samples at random writes strategic grams often.
LEXICON = ("so", "but", "wait", "now", "let's", "so wait", "but now", "next", "thus")
PROMPTS = ("So what?", "Let's add 3 and 4.", "But why?", "Now 5 times 6.")


def pytest_configure(config):
    # What a shell runs in the background ignores it, and so would all that tests launch and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.import_plugin("scheduling")


def pytest_collection_modifyitems(items):
    for item in items:
        test = Path(item.path).relative_to(TESTS).as_posix() + item.nodeid.partition(".py")[2]
        for mark, places in MARKS.items():
            if any(test.startswith(place) for place in places.split()):
                item.add_marker(mark)
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if "real_data" in item.fixturenames or REAL_DATA in given:
            item.add_marker("slow")
        if "browser" in item.fixturenames:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def tokenizer():
    text = [" ".join(LEXICON), "".join(f" {gram}" for gram in LEXICON) * 50, *PROMPTS]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", "<eos>"],
        show_progress=False,
    )
    backend.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", padding_side="left")


@pytest.fixture(scope="session")
def base_model(tokenizer):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


@pytest.fixture
def model(base_model):
    return copy.deepcopy(base_model)


@pytest.fixture(scope="session")
def model_folder(base_model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def lexicon_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("lexicon") / "grams.txt"
    file.write_text("\n".join(LEXICON) + "\n")
    return file


@pytest.fixture(scope="session")
def grams(lexicon_file):
    return StrategicGrams.load(lexicon_file)


@pytest.fixture(scope="session")
def prompts():
    return Dataset.from_dict({"prompt": list(PROMPTS) * 8, "solution": ["7"] * 32})


@pytest.fixture(scope="session", params=DATA_FOLDERS, ids=lambda folder: "ours" if folder == OUR_DATA else "real")
def data_folder(request):
    """Benchmarks, GSM8K and traces: a few rows of ours, and the real ones where they are."""
    return request.param


@pytest.fixture(scope="session")
def real_data():
    if not REAL_DATA.is_dir():
        pytest.skip(f"no data at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="session")
def traces(data_folder):
    """Completions: seven of ours, or 500 of five models."""
    files = sorted((data_folder / "traces").glob("*.jsonl"))
    return [json.loads(line)["completion"] for file in files for line in file.open(encoding="utf-8")]
