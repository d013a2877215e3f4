"""Tiny models, and tiny copies of the datasets that the recipes name, in their own schemas; made once per session."""

import copy
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hicra_trl.data.sums import sum_rows, sums
from hicra_trl.playground.world import problem_rows, split_problems
from vision import save_virl, save_vlm


CHAT_TEMPLATE = "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}[assistant]"
# Of every dataset, one problem is in a benchmark too.
BENCHMARK = ["What is the sum of the first four positive odd numbers?"]
PROBLEMS = [*(f"So what is {a} plus {a} times 3?" for a in range(8)), *BENCHMARK]


@pytest.fixture(scope="session")
def chat_model(base_model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat_model")
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vision_model(tokenizer, tmp_path_factory):
    return save_vlm(tmp_path_factory.mktemp("vision_model"), tokenizer)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder or a file for each dataset."""
    root = tmp_path_factory.mktemp("data")
    dapo = [
        {
            "prompt": problem,
            "solution": "34",
            "data_source": "math_dapo",
            "source_prompt": [{"content": problem, "role": "user"}],
            "ability": "MATH",
            "reward_model": {"ground_truth": "34", "style": "rule-lighteval/MATH_v2"},
            "extra_info": {"index": str(row)},
        }
        for row, problem in enumerate(PROBLEMS)
    ]
    _jsonl(root / "benchmark.jsonl", [{"problem": problem} for problem in BENCHMARK])
    _jsonl(root / "held_out.jsonl", [{"problem": problem, "answer": "34"} for problem in PROBLEMS[:2]])
    _jsonl(root / "sums.jsonl", sum_rows(sums(4, seed=0)))
    _jsonl(root / "countdown.jsonl", problem_rows(split_problems(0)[0][:4]))
    _parquet(root / "dapo" / "en" / "train-00000-of-00001.parquet", dapo)
    deepscaler = [{"problem": f"Now {problem}", "answer": "34", "solution": "Long."} for problem in PROBLEMS]
    (root / "deepscaler.json").write_text(json.dumps(deepscaler))
    gsm8k = [{"question": problem, "answer": "10 + 24 = <<10+24=34>>34\n#### 34"} for problem in PROBLEMS]
    for split in ("train", "test"):
        _parquet(root / "gsm8k" / "main" / f"{split}-00000-of-00001.parquet", gsm8k)
    (root / "gsm8k" / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n"
        "  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n---\n"
    )
    rows = [(problem, r"\boxed{34}", ["red", "blue"][: 1 + at % 2]) for at, problem in enumerate(PROBLEMS)]
    save_virl(root / "virl39k", rows)
    return root


def _parquet(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def _jsonl(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
