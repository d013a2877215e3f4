"""Tiny real models that see, with processors that need no torchvision.

One is CLIP and Llama in Llava's shape: an image is five tokens of a prompt, four patches and the one that CLIP adds.
The other is Qwen2.5-VL, the architecture of the paper's two.
"""

import copy

import torch
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Picture
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from image_text_processor import ImageTextProcessor


IMAGE_TOKEN = "<image>"
TOKENS_PER_IMAGE = 5
QWEN_TOKENS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")


def chat_template(image):
    return (
        "{% for message in messages %}[{{ message.role }}]"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        f"{{{{ '{image}' if part.type == 'image' else part.text }}}}"
        "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )


def save_vlm(folder, tokenizer, seed=0):
    """Saves the model and its processor, made from a text tokenizer, and returns `folder`."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    shape = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(hidden_size=16, image_size=16, patch_size=8, **shape),
            text_config=LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=32, max_position_embeddings=512, **shape, **ends
            ),
            image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
    )
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=1,
        image_token=IMAGE_TOKEN,
        chat_template=chat_template(IMAGE_TOKEN),
    ).save_pretrained(folder)
    return folder


def save_qwen_vl(folder, tokenizer, seed=0):
    """Saves the model and its processor, which has code of its own, and returns `folder`."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(QWEN_TOKENS)})
    start, image, end, video = tokenizer.convert_tokens_to_ids(list(QWEN_TOKENS))
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 32,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "max_position_embeddings": 512,
                "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
                **ends,
            },
            vision_config={
                "depth": 2,
                "hidden_size": 16,
                "num_heads": 2,
                "intermediate_size": 32,
                "out_hidden_size": 32,
                "fullatt_block_indexes": [1],
                "window_size": 56,
            },
            vision_start_token_id=start,
            image_token_id=image,
            vision_end_token_id=end,
            video_token_id=video,
            tie_word_embeddings=False,
        )
    )
    model.save_pretrained(folder)
    pixels = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56)
    template = chat_template("".join(QWEN_TOKENS[:3]))
    ImageTextProcessor(pixels, tokenizer, chat_template=template).save_pretrained(folder)
    return folder


def picture(color, size=(20, 30)):
    """An image of one color."""
    return Picture.new("RGB", size, color)


def image_prompts(rows):
    """A dataset of (question, colors of its images) as the reader of ViRL39K makes it; the gold answer is 7."""
    features = Features(
        {
            "prompt": List({"role": Value("string"), "content": Value("string")}),
            "solution": Value("string"),
            "images": List(Image()),
        }
    )
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": question}],
                "solution": "7",
                "images": [picture(color) for color in colors],
            }
            for question, colors in rows
        ],
        features=features,
    )


def save_virl(folder, rows):
    """Saves (question, answer, colors) in the shape of ViRL39K, a parquet file and `images/`; returns `folder`."""
    (folder / "images").mkdir(parents=True)
    table = []
    for number, (question, answer, colors) in enumerate(rows):
        names = [f"images/{number}-{place}.png" for place in range(len(colors))]
        for name, color in zip(names, colors):
            picture(color).save(folder / name)
        table.append({"question": IMAGE_TOKEN * len(colors) + question, "answer": answer, "image": names})
    Dataset.from_list(table).to_parquet(folder / "39Krelease.parquet")
    return folder
