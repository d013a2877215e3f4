"""Writes tiny models as GGUF files, as llama.cpp's converter does."""

import json

import gguf


KEYS = {"qwen3": gguf.MODEL_ARCH.QWEN3, "llama": gguf.MODEL_ARCH.LLAMA}
CONTROL, NORMAL = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)


def merges(tokenizer):
    return [" ".join(pair) for pair in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]]


def write_gguf(path, model, tokenizer, architecture=None, without=(), **metadata):
    """
    Writes `model` and `tokenizer` to `path`, in float32.

    Names in `without` are left out, of tensors and of metadata; `metadata` replaces or adds, by a whole key, or by the
    last part of one under `tokenizer.ggml`.
    """
    config = model.config
    writer = gguf.GGUFWriter(str(path), architecture or config.model_type)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokens = [tokenizer.convert_ids_to_tokens(index) for index in range(len(tokenizer))]
    facts = {
        "model": "gpt2",
        "pre": "default",
        "tokens": tokens,
        "token_type": [CONTROL if token in tokenizer.all_special_tokens else NORMAL for token in tokens],
        "merges": merges(tokenizer),
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "padding_token_id": tokenizer.pad_token_id,
    }
    for name, value in {**facts, **metadata}.items():
        if name in without:
            continue
        key = name if "." in name else f"tokenizer.ggml.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    names = gguf.get_tensor_name_map(KEYS[config.model_type], config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if stored in without:
            continue
        values = tensor.float()
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            # Llama's rotation pairs neighbours there, and halves here.
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            values = values.view(heads, 2, -1, values.shape[1]).transpose(1, 2).reshape(values.shape)
        writer.add_tensor(stored, values.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
