"""Settings that only make sense together."""

import pytest

from hicra_trl.training.config import HICRAConfig

from .helpers import settings


VLLM = {"use_vllm": True, "vllm_mode": "colocate"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"top_p": 0.8}, "top_p must be 1.0 where vLLM.* got 0.8"),
        ({"top_k": 20}, "top_k must be 0 where vLLM.* got 20"),
        ({"min_p": 0.1}, "min_p must be None where vLLM.* got 0.1"),
        ({"generation_kwargs": {"top_p": 0.8}}, "top_p must be 1.0 where vLLM.* got 0.8"),
        ({"generation_kwargs": '{"top_k": 20}'}, "top_k must be 0 where vLLM.* got 20"),
        (
            {"vllm_structured_outputs_regex": "[a-z]+"},
            r"_regex must be None .* got '\[a-z\]\+'",
        ),
        ({"alpha": 0.0, "top_p": 0.8, "vllm_importance_sampling_mode": "token_truncate"}, "top_p must be 1.0"),
    ],
)
def test_a_part_of_the_vocabulary_is_refused_where_the_loss_would_be_scaled_by_it(fields, said, tmp_path):
    with pytest.raises(ValueError, match=said) as caught:
        HICRAConfig(**settings(tmp_path, **VLLM, **fields))
    assert "\n" not in str(caught.value)
    # Transformers gives no probabilities of its own, and without the correction an engine's are not used.
    HICRAConfig(**settings(tmp_path, **fields))
    HICRAConfig(**settings(tmp_path, **VLLM, **fields, vllm_importance_sampling_correction=False))


@pytest.mark.parametrize(
    "fields", [{"top_k": 0}, {"min_p": 0.0}, {"top_p": 0.8, "generation_kwargs": {"top_p": 1.0, "top_k": -1}}]
)
def test_the_whole_vocabulary_is_accepted_however_it_is_said(fields, tmp_path):
    HICRAConfig(**settings(tmp_path, **VLLM, **fields))
