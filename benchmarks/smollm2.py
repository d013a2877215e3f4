"""SmolLM2-135M-Instruct out of a GGUF file, and how it is asked: as a plain folder, with two worked examples."""

import torch
from tokenizers import decoders
from transformers import AutoModelForCausalLM, AutoTokenizer


INSTRUCTION = "Put your final answer within \\boxed{}."
DEMONSTRATIONS = (
    (
        "Mia has 12 shells, finds 9 more and loses 4. How many shells does Mia have then?",
        "First, 12 + 9 = 21. Then, 21 - 4 = 17. So the answer is \\boxed{17}.",
    ),
    ("What is 31 - 8?", "31 - 8 = 23. So the answer is \\boxed{23}."),
)


def demonstrations():
    return [
        message
        for question, answer in DEMONSTRATIONS
        for message in (
            {"role": "user", "content": f"{question} {INSTRUCTION}"},
            {"role": "assistant", "content": answer},
        )
    ]


def plain_folder(gguf, folder):
    """Dequantizes the file into `folder`, with the special tokens and the decoder that a GGUF leaves out."""
    at = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**at)
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    model = AutoModelForCausalLM.from_pretrained(**at, dtype=torch.float32)
    # As loaded, Trainer takes it for a quantized model and refuses it.
    model.hf_quantizer = None
    del model.config.quantization_config
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
