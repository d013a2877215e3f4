"""What only a GPU can say, in parts of falling worth, within eight minutes on one card.

    python benchmarks/on_gpu.py [--parts cuda overhead memory learning vllm] [--model FOLDER|FILE.gguf]
        [--results on_gpu.jsonl] [--tiny]

cuda       alpha 0 is GRPO in float32 and in bf16, labels of CUDA tensors are those of the CPU, metrics are finite
overhead   Qwen3-0.6B's shape in bf16, 64 completions of 1,024 tokens: HICRA's share of a step, the paired ratio, peaks
memory     peaks against the plan's arithmetic: 0.6B and 1.7B, in full and LoRA, rows of 4k, 16k and 32k tokens
learning   60 steps of HICRA and GRPO on sums, two seeds each, side by side on the card; `--model` is SmolLM2-135M;
           each log goes to a file beside the results as it comes
vllm       the same shape with colocated vLLM: seconds per step, the ratio, sleep mode

Each result is written at once as a line of JSON with the card and the versions. What the file already holds is not
run again, so a run that was cut off goes on. `--tiny` tries the script itself on any machine, with shapes of nothing.
"""

import argparse
import gc
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


# Exact equality on CUDA needs it before the first matrix product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, PrinterCallback, Qwen3Config, Qwen3ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, ModelConfig

import engine
from growth import RealText
from hicra_trl import BoxedAccuracyReward, HICRAConfig, HICRATrainer
from hicra_trl.data.sums import sum_rows, sums
from hicra_trl.gguf import plain_model
from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams
from hicra_trl.training.dry_run.architectures import load_architecture
from hicra_trl.training.dry_run.memory import GIB, Workload, activation_bytes, head_bytes, state_bytes
from labeler import generated, train_tokenizer
from step_overhead import OWN_PHASES, alternate, train
from worlds import SHAPES, published, random_weights


ON_GPU = torch.cuda.is_available()
CARD = torch.cuda.get_device_name() if ON_GPU else "cpu"
GRAMS = ("so", "but", "wait", "thus", "let's try", "so wait")


@dataclass(frozen=True)
class Sizes:
    """How much each part does."""

    shape: str = "qwen3-0.6b"
    completions: int = 64
    tokens: int = 1024
    rounds: int = 8
    models: tuple[str, ...] = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B")
    rows: tuple[int, ...] = (4096, 16_384, 32_768)
    steps: int = 60
    batch: int = 256
    at_once: int = 64
    held_out: int = 128
    seeds: tuple[int, ...] = (0, 1)


TINY = Sizes("small", 16, 32, 2, ("tiny",), (64, 128), 2, 16, 8, 8, (0,))
TINY_SHAPE = SHAPES["small"].config


class Results:
    """The lines of a file: what is in it is not measured again."""

    def __init__(self, file: Path):
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.done = {row["name"] for row in map(json.loads, lines) if "failed" not in row}

    def add(self, name: str, measure: Callable[[], dict]):
        if name in self.done:
            return
        started = time.perf_counter()
        try:
            facts = measure()
        except (
            RuntimeError
        ) as error:  # out of memory, or what CUDA says: the next figures are worth having all the same
            facts = {"failed": f"{type(error).__name__}: {error}"[:600]}
        seconds = round(time.perf_counter() - started, 1)
        versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
        line = json.dumps({"name": name, "card": CARD, **versions, "seconds": seconds, **facts})
        with self.file.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)
        if ON_GPU:
            gc.collect()
            torch.cuda.empty_cache()


def texts():
    draw = random.Random(0)
    return [generated(StrategicGrams.paper(), draw) for _ in range(200)]


def three_steps(kind, world, bf16, alpha=None):
    """The weights after three steps, and the last log."""
    config = GRPOConfig if alpha is None else HICRAConfig
    own = {"scale_rewards": "none", "epsilon_high": 0.28} if alpha is None else {"alpha": alpha}
    if alpha is not None:
        own["strategic_grams"] = str(world.model / "grams.txt")
    with tempfile.TemporaryDirectory() as folder:
        settings = world.settings | {"learning_rate": 1e-3, "bf16": bf16, "use_cpu": not ON_GPU, "max_steps": 3}
        trainer = kind(
            model=str(world.model),
            reward_funcs=world.reward,
            args=config(output_dir=folder, disable_tqdm=True, **settings, **own),
            train_dataset=world.dataset,
            processing_class=AutoTokenizer.from_pretrained(world.model, padding_side="left"),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return torch.cat([weight.detach().float().flatten().cpu() for weight in trainer.model.parameters()]), logs[-1]


def alpha_zero(world, bf16):
    # Where an operation has no deterministic form, GRPO's second run shows by how much it differs from itself.
    torch.use_deterministic_algorithms(True, warn_only=True)
    (grpo, _), (again, _) = (three_steps(GRPOTrainer, world, bf16) for _ in range(2))
    zero, _ = three_steps(HICRATrainer, world, bf16, alpha=0.0)
    half, logged = three_steps(HICRATrainer, world, bf16, alpha=0.5)
    torch.use_deterministic_algorithms(False)
    metrics = {name: value for name, value in logged.items() if name.startswith("hicra/")}
    return {
        "bf16": bf16,
        "grpo_repeats_itself": torch.equal(grpo, again),
        "alpha_0_is_grpo": torch.equal(grpo, zero),
        "largest_difference": (grpo - zero).abs().max().item(),
        "alpha_half_differs": not torch.equal(grpo, half),
        "metrics": len(metrics),
        "metrics_are_finite": all(abs(value) < float("inf") for value in metrics.values()),
        "planning_fraction": metrics["hicra/planning_fraction"],
    }


def cuda_labels():
    written = texts()
    tokenizer = train_tokenizer(written)
    labeler = PlanningTokenLabeler(tokenizer, StrategicGrams.paper())
    ids = RealText(written, tokenizer, "cpu").rows(16, 2048)
    mask = torch.rand(ids.shape) < 0.9
    device = torch.device("cuda" if ON_GPU else "cpu")
    labels = labeler(ids.to(device), mask.to(device))
    return {
        "device": str(labels.device),
        "equal_to_the_cpu": torch.equal(labels.cpu(), labeler(ids, mask)),
        "planning_fraction": labels.float().mean().item(),
    }


def cuda(results, sizes, folder):
    words = [" ".join(GRAMS), *(f" {gram}" * 50 for gram in GRAMS)]
    shape = replace(SHAPES["small"], config=TINY_SHAPE | {"vocab_size": 512}, completions=16, tokens=32, at_once=16)
    world = random_weights(shape, words, folder, 1, None, None)
    (folder / "grams.txt").write_text("\n".join(GRAMS))
    results.add("labels of CUDA tensors", cuda_labels)
    for bf16 in (False, True):
        results.add(f"alpha 0 is GRPO, {'bf16' if bf16 else 'float32'}", lambda bf16=bf16: alpha_zero(world, bf16))


class Replay:
    """Hands out completions of real text in place of sampling, which is the same for both trainers."""

    def __init__(self, world, written):
        tokenizer = AutoTokenizer.from_pretrained(world.model)
        rows = RealText(written, tokenizer, "cpu").rows(world.completions, world.tokens).tolist()
        # Words differ between rows, and so do rewards and advantages.
        self.rows, self.tokenizer = rows, tokenizer

    def __call__(self, prompts, trainer):
        rows = self.rows[: len(prompts)]
        return {"prompt_ids": self.tokenizer(prompts)["input_ids"], "completion_ids": rows, "logprobs": None}


def ratio(world, rounds, rollout_func):
    pairs = list(alternate(world, rounds, 3, rollout_func=rollout_func))
    ratios = [hicra.step / grpo.step for grpo, hicra in pairs]
    grpo, hicra = (statistics.median(run.step for run in runs) for runs in zip(*pairs, strict=True))
    return {
        "completions": world.completions,
        "tokens": world.tokens,
        "rounds": rounds,
        "grpo_seconds": grpo,
        "hicra_seconds": hicra,
        "ratio": statistics.median(ratios),
        "ratios": [round(each, 4) for each in ratios],
        "grpo_peak_gib": max(pair[0].peak for pair in pairs),
        "hicra_peak_gib": max(pair[1].peak for pair in pairs),
    }


def phases(world, steps=2, rollout_func=None):
    run = train(HICRATrainer, world, steps, by_phase=True, rollout_func=rollout_func)
    own = sum(run.seconds.get(phase, 0) for phase in OWN_PHASES)
    return {"step_seconds": run.step, "own_share": own / run.step, "phases": dict(run.seconds), "peak_gib": run.peak}


def overhead(results, sizes, folder):
    written = texts()
    world = random_weights(SHAPES[sizes.shape], written, folder, 1, sizes.completions, sizes.tokens)
    replay = Replay(world, written)
    results.add("step without sampling: phases", lambda: phases(world, 3, replay))
    results.add("step without sampling: ratio", lambda: ratio(world, sizes.rounds, replay))
    # Transformers samples a thousand tokens for over a minute.
    world = replace(world, tokens=world.tokens // 8)
    world.settings["max_completion_length"] = world.tokens
    world.settings.update(engine.settings("transformers", world.tokens, exactly=True))
    results.add(f"step with {world.tokens} sampled tokens: phases", lambda: phases(world))


def architecture_of(name, adapter):
    if name == "tiny":
        return None
    lora = {"use_peft": True, "lora_target_modules": "all-linear", "lora_r": 16} if adapter else {}
    return load_architecture(ModelConfig(model_name_or_path=name, **lora))


def predicted(architecture, adapter, length):
    work = Workload("none", 1, False, 4, 2, adapter, False, True, True, 1, length)
    parts = state_bytes(architecture, work)
    parts |= {"activations": activation_bytes(architecture, work), "head": head_bytes(architecture, work)}
    return {name: round(size / GIB, 2) for name, size in parts.items()}


def peak(name, adapter, length, folder):
    """Of two steps on four rows, one at a time; three are half as long, so padded rows with a mask meet gradients."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = (TINY_SHAPE if name == "tiny" else published(name)) | {"vocab_size": len(tokenizer)}
    config = Qwen3Config(
        **size, tie_word_embeddings=True, max_position_embeddings=40_960, eos_token_id=tokenizer.eos_token_id
    )
    with torch.device("cuda" if ON_GPU else "cpu"):
        model = Qwen3ForCausalLM(config)
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()

    def four_rows(prompts, trainer):
        ids = tokenizer(prompts)["input_ids"]
        lengths = (length - len(ids[0]), *[length // 2] * 3)
        rows = [torch.randint(100, len(tokenizer) - 100, (size,)).tolist() for size in lengths]
        return {"prompt_ids": ids, "completion_ids": rows, "logprobs": None}

    with tempfile.TemporaryDirectory() as output:
        trainer = HICRATrainer(
            model=model,
            reward_funcs=lambda completions, **_: [float(index) for index in range(len(completions))],
            args=HICRAConfig(
                output, per_device_train_batch_size=1, gradient_accumulation_steps=4, num_generations=4, max_steps=2,
                max_completion_length=length, gradient_checkpointing=True, bf16=ON_GPU, use_cpu=not ON_GPU,
                report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict({"prompt": ["Find all x."] * 8}),
            processing_class=tokenizer,
            rollout_func=four_rows,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear") if adapter else None,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    facts = {"rows": length, "adapter": adapter, "step_seconds": trainer.state.log_history[-2].get("step_time")}
    if architecture := architecture_of(name, adapter):
        parts = predicted(architecture, adapter, length)
        facts |= {"predicted_gib": round(sum(parts.values()), 2), "parts": parts}
    if ON_GPU:
        free, total = torch.cuda.mem_get_info()
        facts |= {
            "measured_gib": round((torch.cuda.max_memory_allocated()) / GIB, 2),
            "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2),
            "of_the_card_gib": round((total - free) / GIB, 2),
            "before_gib": round(before / GIB, 2),
        }
    return facts


def memory(results, sizes, folder):
    shape = SHAPES[sizes.shape]
    random_weights(
        replace(shape, config=TINY_SHAPE | {"vocab_size": shape.config["vocab_size"]}), texts(), folder, 1, 8, 8
    )
    for name in sizes.models:
        for adapter in (False, True):
            for length in sizes.rows:
                label = f"memory of {name}, {'LoRA' if adapter else 'full'}, {length:,} tokens"
                results.add(label, lambda row=(name, adapter, length): peak(*row, folder))


class PrintLogs(TrainerCallback):
    """Prints what is logged as JSON, at once."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        print(json.dumps({"step": state.global_step, **logs}), flush=True)


def learn(method, seed, sizes, model):
    """Trains in this process and prints its logs; `learning` starts one such process for each method and seed."""
    held_out = sums(sizes.held_out, seed=1)
    training = sums(1024, seed=2, apart_from=held_out)

    with tempfile.TemporaryDirectory() as output:
        trainer = HICRATrainer(
            model=str(model),
            reward_funcs=BoxedAccuracyReward(),
            args=HICRAConfig(
                output, alpha=0.2 if method == "hicra" else 0.0, seed=seed, max_steps=sizes.steps,
                per_device_train_batch_size=sizes.at_once, completions_per_step=sizes.batch,
                num_generations=min(16, sizes.at_once), max_completion_length=24, learning_rate=2e-5,
                lr_scheduler_type="constant", eval_strategy="steps", eval_steps=sizes.steps // 2, eval_on_start=True,
                per_device_eval_batch_size=sizes.batch, num_generations_eval=2, logging_steps=1, report_to="none",
                save_strategy="no", bf16=ON_GPU, use_cpu=not ON_GPU, disable_tqdm=True,
                model_init_kwargs={"dtype": "float32"},
            ),
            train_dataset=Dataset.from_list(sum_rows(training)),
            eval_dataset=Dataset.from_list(sum_rows(held_out)),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(PrintLogs())
        trainer.train()
    if ON_GPU:
        print(json.dumps({"peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2)}))


def curve(logs):
    """What a file of logs says, also of a run that did not end."""
    entries = [json.loads(line) for line in logs.read_text().splitlines() if line.startswith("{")]
    steps = [entry for entry in entries if "reward" in entry]
    names = {
        "reward": "reward", "length": "completions/mean_length", "planning_fraction": "hicra/planning_fraction",
        "semantic_entropy": "hicra/semantic_entropy", "entropy": "entropy",
    }  # fmt: skip
    return {
        "steps": len(steps),
        "held_out": {entry["step"]: entry["eval_reward"] for entry in entries if "eval_reward" in entry},
        "seconds_per_step": statistics.median(entry["step_time"] for entry in steps) if steps else None,
        "peak_gib": entries[-1].get("peak_gib") if entries else None,
        **{short: [round(entry[name], 4) for entry in steps[::5] if name in entry] for short, name in names.items()},
    }


def learning(results, sizes, folder, model):
    if model is None:
        print("learning needs --model, a folder or a .gguf file of SmolLM2-135M-Instruct: left out", flush=True)
        return
    model = plain_model(str(model))
    # Sampling leaves most of a card idle, so the runs share it.
    started = {}
    for seed in sizes.seeds:
        for method in ("hicra", "grpo"):
            name = f"learning, {method} seed {seed}"
            if name in results.done:
                continue
            logs = results.file.with_suffix(f".{method}-{seed}.log")
            command = [sys.executable, __file__, "--learn", method, str(seed), "--model", str(model)]
            command += ["--tiny"] if sizes is TINY else []
            with logs.open("w") as file:
                started[name] = logs, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    for name, (logs, process) in started.items():
        status = process.wait()
        results.add(
            name, lambda logs=logs, status=status: curve(logs) | ({"failed": f"status {status}"} if status else {})
        )


def vllm(results, sizes, folder):
    if importlib.util.find_spec("vllm") is None:
        print("vllm is not installed: left out", flush=True)
        return
    engine.prepare()
    world = random_weights(SHAPES[sizes.shape], texts(), folder, 1, sizes.completions, sizes.tokens)
    world.settings.update(engine.settings("vllm", world.tokens, exactly=True))
    results.add("step with vLLM: ratio", lambda: ratio(world, sizes.rounds, None))
    results.add("step with vLLM: phases", lambda: phases(world))
    world.settings["vllm_enable_sleep_mode"] = True
    results.add("step with vLLM that sleeps: phases", lambda: phases(world))


PARTS = {"cuda": cuda, "overhead": overhead, "memory": memory, "learning": learning, "vllm": vllm}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--model", type=Path, help="SmolLM2-135M-Instruct, for learning")
    parser.add_argument("--results", type=Path, default=Path("on_gpu.jsonl"))
    parser.add_argument("--tiny", action="store_true", help="shapes that any machine runs, to try the script itself")
    parser.add_argument("--learn", nargs=2, metavar=("METHOD", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    sizes = TINY if args.tiny else Sizes()
    transformers.utils.logging.disable_progress_bar()
    if args.learn:
        learn(args.learn[0], int(args.learn[1]), sizes, args.model)
        return
    results = Results(args.results)
    for name in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            extra = (args.model,) if name == "learning" else ()
            PARTS[name](results, sizes, Path(folder), *extra)


if __name__ == "__main__":
    main()
