"""The formulas for memory against tensors that are really there."""

import contextlib
import weakref
from dataclasses import replace

import pytest
import torch
from peft import get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig, MixtralConfig, Qwen3Config
from trl import ModelConfig, get_peft_config

from hicra_trl.training.dry_run.architectures import load_architecture
from hicra_trl.training.dry_run.memory import (
    Workload,
    activation_bytes,
    checkpoint_bytes,
    kv_bytes_per_token,
    layer_bytes,
    state_bytes,
    vllm_cache_bytes,
)


# What the repositories on the Hub have.
PARAMETERS = {
    "Qwen/Qwen3-4B-Instruct-2507": 4_022_468_096,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "XiaomiMiMo/MiMo-VL-7B-SFT": 8_306_217_216,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
}
ALONE = Workload("none", 1, False, 4, 4, False, False, True, False, 1, 64)
PRECISIONS = {"float32": (4, 4), "mixed": (4, 2), "bfloat16": (2, 2)}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_models_have_the_parameters_that_are_published(name):
    architecture = load_architecture(ModelConfig(model_name_or_path=name))
    assert architecture.parameters == architecture.trainable == PARAMETERS[name]
    assert (architecture.vision_parameters > 0) == ("VL" in name)


def test_a_folder_and_its_adapter_are_counted_as_they_are_built(model_folder, base_model, model):
    assert load_architecture(ModelConfig(str(model_folder))).parameters == base_model.num_parameters()
    args = ModelConfig(str(model_folder), use_peft=True, lora_r=4, lora_target_modules=["all-linear"])
    adapted = get_peft_model(model, get_peft_config(args))
    assert load_architecture(args).trainable == adapted.get_nb_trainable_parameters()[0]


def test_what_no_formula_is_for_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no/model is no folder"):
        load_architecture(ModelConfig("no/model"))
    MixtralConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no dense decoder"):
        load_architecture(ModelConfig(str(tmp_path)))


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def architecture_and_config(request, tmp_path_factory):
    shape = {
        "vocab_size": 64, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": True,
    }  # fmt: skip
    config = {"qwen3": Qwen3Config, "llama": LlamaConfig}[request.param](**shape)
    folder = tmp_path_factory.mktemp(request.param)
    config.save_pretrained(folder)
    return load_architecture(ModelConfig(str(folder))), config


def build(config, precision, layers=None):
    if layers is not None:
        config = type(config)(**{**config.to_dict(), "num_hidden_layers": layers, "layer_types": None})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return model.to(torch.bfloat16 if precision == "bfloat16" else torch.float32).train()


def hidden_states(model, precision, length, masked):
    mask = torch.ones(1, length, dtype=torch.long)
    mask[:, 0] = 0 if masked else 1
    with torch.autocast("cpu", torch.bfloat16) if precision == "mixed" else contextlib.nullcontext():
        ids = torch.zeros(1, length, dtype=torch.long)
        return model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state


def saved_bytes(model, precision, length, masked):
    """Bytes that autograd keeps for the backward pass, each storage once, without the weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        hidden_states(model, precision, length, masked)
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for pointer, size in storages.items() if pointer not in weights)


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_layer_keeps_the_bytes_that_the_formula_says(architecture_and_config, precision, masked):
    architecture, config = architecture_and_config
    weight, compute = PRECISIONS[precision]
    work = replace(ALONE, weight_bytes=weight, compute_bytes=compute, attention_mask=masked)
    models = [build(config, precision, layers) for layers in (2, 3)]
    # Of two lengths, since copies of weights do not grow with the row; and a mask grows with its square.
    two, three = ([saved_bytes(model, precision, length, masked) for length in (64, 128)] for model in models)
    mask = compute * (128**2 - 64**2) if masked else 0
    assert (three[1] - two[1]) - (three[0] - two[0]) == 64 * layer_bytes(architecture, work) + mask


class Peak(TorchDispatchMode):
    """The most bytes of tensors that were alive together, of those made under it."""

    def __init__(self):
        super().__init__()
        self.alive, self.now, self.most = set(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.alive:
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        self.alive.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key, size):
        self.alive.discard(key)
        self.now -= size


@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "all kept"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_peak_of_a_pass_is_within_10_percent_of_the_formula(architecture_and_config, precision, checkpointing):
    architecture, config = architecture_and_config
    model = build(config, precision)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    weight, compute = PRECISIONS[precision]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with Peak() as peak:
        peak.alive |= {
            tensor.untyped_storage()._cdata
            for parameter in model.parameters()
            for tensor in (parameter, parameter.grad)
        }
        hidden_states(model, precision, 1024, masked=True).sum().backward()
    work = replace(
        ALONE, weight_bytes=weight, compute_bytes=compute, gradient_checkpointing=checkpointing, attention_mask=True,
        length=1024,
    )  # fmt: skip
    assert peak.most == pytest.approx(activation_bytes(architecture, work), rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_and_checkpoints_are_the_bytes_that_adamw_and_the_disk_hold(model, model_folder, dtype, tmp_path):
    model = model.to(dtype)
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.zeros(1, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    work = replace(ALONE, weight_bytes=dtype.itemsize, compute_bytes=dtype.itemsize)
    architecture = load_architecture(ModelConfig(str(model_folder)))
    states = state_bytes(architecture, work)
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert states["weights"] == sum(parameter.nbytes for parameter in model.parameters())
    assert states["gradients"] == sum(parameter.grad.nbytes for parameter in model.parameters())
    assert states["optimizer"] == sum(moment.nbytes for moment in moments)
    model.save_pretrained(tmp_path)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    written = sum((tmp_path / name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))
    # Headers of small files.
    assert 0 <= written - checkpoint_bytes(architecture, work) < 30_000


# Bytes of each parameter: weights, gradients, optimizer. With DeepSpeed and 8 processes, as its documentation has it.
PER_PARAMETER = {
    ("none", 1): (4, 4, 8),
    ("ddp", 8): (4, 4, 8),
    ("zero1", 8): (2, 2, 12 / 8),
    ("zero2", 8): (2, 2 / 8, 12 / 8),
    ("zero3", 8): (2 / 8, 2 / 8, 12 / 8),
    ("fsdp2", 8): (4 / 8, 4 / 8, 8 / 8),
}


@pytest.mark.parametrize(("engine", "processes"), PER_PARAMETER)
def test_engines_spread_states(engine, processes):
    architecture = load_architecture(ModelConfig("Qwen/Qwen2.5-7B"))
    work = replace(ALONE, engine=engine, processes=processes, compute_bytes=2)
    states = state_bytes(architecture, work)
    found = tuple(states[name] / architecture.parameters for name in ("weights", "gradients", "optimizer"))
    assert found == pytest.approx(PER_PARAMETER[engine, processes])
    adapter = load_architecture(ModelConfig("Qwen/Qwen2.5-7B", use_peft=True))
    small = state_bytes(adapter, replace(work, adapter=True))
    assert small["gradients"] + small["optimizer"] < 0.01 * (states["gradients"] + states["optimizer"])
    assert small["weights"] == pytest.approx(states["weights"], rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_holds_the_bytes_that_the_formula_says(model, model_folder, dtype):
    cache = DynamicCache()
    model.to(dtype)(input_ids=torch.zeros(1, 10, dtype=torch.long), past_key_values=cache, use_cache=True)
    held = sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
    assert held == 10 * kv_bytes_per_token(load_architecture(ModelConfig(str(model_folder))), dtype.itemsize)


def test_vllm_has_what_its_share_leaves_beside_the_weights():
    architecture = load_architecture(ModelConfig("Qwen/Qwen2.5-7B"))
    rooms = [vllm_cache_bytes(architecture, 80 * 2**30, share, parallel) for share, parallel in ((0.5, 1), (0.5, 2))]
    assert [round(room / 2**30, 1) for room in rooms] == [23.8, 30.9]
    assert vllm_cache_bytes(architecture, 24 * 2**30, 0.5) < 0
