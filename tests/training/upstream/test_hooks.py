"""What this package overrides in TRL and Transformers, in one table; and that all of it is still there."""

import dataclasses
import inspect
from pathlib import Path

import pytest
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import GRPOTrainer

import hicra_trl.training.async_grpo
import hicra_trl.training.run
from hicra_trl.training import upstream


# By the class that has it upstream, each method, property and attribute that a trainer, a configuration or a callback
# of ours overrides, and the parameters that we rely on.
OVERRIDDEN = {
    "GRPOTrainer.__init__": "model reward_funcs args train_dataset quantization_config peft_config",
    "GRPOTrainer._calculate_rewards": "inputs prompts completions completion_ids_list",
    "GRPOTrainer._compute_loss": "model inputs",
    "GRPOTrainer._generate": "prompts",
    "GRPOTrainer._generate_and_score_completions": "inputs",
    "GRPOTrainer._get_per_token_logps_and_entropies": "model input_ids attention_mask logits_to_keep batch_size "
    "compute_entropy pixel_values image_grid_thw num_images pixel_attention_mask image_sizes token_type_ids",
    "GRPOTrainer._get_train_sampler": "dataset",
    "GRPOTrainer._load_optimizer_and_scheduler": "checkpoint",
    "GRPOTrainer._save_checkpoint": "model trial",
    "GRPOTrainer.get_train_dataloader": "",
    "GRPOTrainer._name": "",
    "GRPOTrainer._paper": "",
    "GRPOTrainer._tag_names": "",
    "GRPOTrainer.log": "logs start_time",
    "GRPOConfig.__post_init__": "",
    "AsyncGRPOTrainer.__init__": "model reward_funcs args train_dataset rollout_worker",
    "AsyncGRPOTrainer.compute_loss": "model inputs",
    "AsyncGRPOConfig.__post_init__": "",
    "_AsyncRolloutLoop._score_group": "group",
    "_BaseTrainer.create_model_card": "model_name",
    "Trainer._get_grad_norm": "model grad_norm",
    "Trainer._load_from_checkpoint": "resume_from_checkpoint model",
    "Trainer._push_from_checkpoint": "checkpoint_folder",
    "Trainer._run_epoch": "model epoch",
    "Trainer.evaluation_loop": "metric_key_prefix",
    "Trainer.train": "resume_from_checkpoint",
    "Trainer.save_model": "output_dir _internal_call",
    "TrainingArguments.world_size": "",
    "ProgressCallback.on_log": "args state control logs",
    "ProgressCallback.on_prediction_step": "args state control",
    "TrainerCallback.on_log": "args state control",
    "TrainerCallback.on_save": "args state control",
    "TrainerCallback.on_step_begin": "args state control",
    "TrainerCallback.on_step_end": "args state control",
    "TrainerCallback.on_train_begin": "args state control",
    "TrainerCallback.on_train_end": "args state control",
}
# Private methods that are called, and not overridden.
CALLED = {
    "GRPOTrainer._generate_single_turn": "prompt_ids images multimodal_fields",
    "GRPOTrainer._tokenize_prompts": "prompts",
    "Trainer._get_output_dir": "trial",
}


def is_ours(kind):
    return kind.__module__.startswith("hicra_trl.")


def subclasses(kind):
    for child in kind.__subclasses__():
        yield from (child, *subclasses(child))


def our_classes():
    kinds = (Trainer, TrainerCallback, TrainingArguments, hicra_trl.training.async_grpo._AsyncRolloutLoop)
    return [child for kind in kinds for child in subclasses(kind) if is_ours(child)]


def defined(kind):
    """What the body of a class defines, without what Python and dataclasses add."""
    added = {"__init__"} if "__dataclass_fields__" in vars(kind) else set()
    added |= {field.name for field in dataclasses.fields(kind)} if added else set()
    for name, member in vars(kind).items():
        if name not in added and (not name.startswith("__") or name in ("__init__", "__post_init__")):
            yield name, member


def overridden(kinds):
    """By their names upstream, pairs of a member there and ours."""
    for kind in kinds:
        for name, ours in defined(kind):
            for base in kind.__mro__:
                if not is_ours(base) and base is not object and name in vars(base):
                    yield f"{base.__name__}.{name}", vars(base)[name], ours
                    break


def signature(member):
    """Of what is called; none of an attribute."""
    member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    return inspect.signature(member).parameters if callable(member) else {}


def parameters(member):
    return [name for name, parameter in signature(member).items() if parameter.kind < 4]


def takes_any(method):
    return any(parameter.kind == parameter.VAR_KEYWORD for parameter in signature(method).values())


def differences(kinds, table):
    """What is not as the table says, a line each."""
    found = list(overridden(kinds))
    lines = [f"{name} is overridden, and not in the table" for name, *_ in found if name not in table]
    lines += [f"{name} is in the table, and not overridden" for name in table.keys() - {name for name, *_ in found}]
    for name, theirs, ours in found:
        lines += missing(name, theirs, table.get(name, ""))
        if not takes_any(ours):
            unknown = [parameter for parameter in parameters(theirs) if parameter not in parameters(ours)]
            lines += [f"{name} takes {parameter}, which ours does not" for parameter in unknown]
    return lines


def missing(name, method, wanted):
    return [f"{name} has no {parameter}" for parameter in wanted.split() if parameter not in parameters(method)]


def test_what_is_overridden_is_in_the_table_and_still_there():
    assert differences(our_classes(), OVERRIDDEN) == []


@pytest.mark.parametrize("name", CALLED)
def test_what_is_called_is_still_there(name):
    kind, method = name.split(".")
    (base,) = [base for base in GRPOTrainer.__mro__ if base.__name__ == kind]
    assert missing(name, vars(base)[method], CALLED[name]) == []


def test_what_generation_returns_ends_with_the_images():
    assert inspect.getsource(GRPOTrainer._generate).rstrip().endswith("images, tool_images")


def test_what_changes_is_found(monkeypatch):
    def loss(self, model, batch):
        raise NotImplementedError

    def save(self, model):
        raise NotImplementedError

    kinds = our_classes()
    shorter = {name: wanted for name, wanted in OVERRIDDEN.items() if name != "Trainer._run_epoch"}
    assert differences(kinds, shorter) == ["Trainer._run_epoch is overridden, and not in the table"]
    monkeypatch.setattr(GRPOTrainer, "_compute_loss", loss)
    monkeypatch.setattr(GRPOTrainer, "_save_checkpoint", save)
    monkeypatch.delattr(GRPOTrainer, "_generate")
    # A method and a property of ours that a new version has too.
    monkeypatch.setattr(GRPOTrainer, "_scores", save, raising=False)
    monkeypatch.setattr(GRPOTrainer, "_is_recorded", property(save), raising=False)
    assert set(differences(kinds, OVERRIDDEN)) == {
        "GRPOTrainer._compute_loss has no inputs",
        "GRPOTrainer._compute_loss takes batch, which ours does not",
        "GRPOTrainer._save_checkpoint has no trial",
        "GRPOTrainer._generate is in the table, and not overridden",
        "GRPOTrainer._scores is overridden, and not in the table",
        "GRPOTrainer._scores takes model, which ours does not",
        "GRPOTrainer._is_recorded is overridden, and not in the table",
        "GRPOTrainer._is_recorded takes model, which ours does not",
    }


@pytest.mark.parametrize("file", sorted(Path(upstream.__file__).parent.glob("[!_]*.py")), ids=lambda file: file.stem)
def test_a_repair_says_what_it_repairs_and_when_it_can_go(file):
    first = file.read_text().splitlines()[0]
    assert first.startswith('"""Repairs ') and "; can go when " in first
