import pytest
import torch

from hicra_trl import hicra_advantages


MASK = torch.tensor([[True, False, True], [False, True, True]])


def test_planning_tokens_gain_alpha_times_the_magnitude():
    result = hicra_advantages(torch.tensor([0.5, -0.5]), MASK, alpha=0.2)
    expected = torch.tensor([[0.6, 0.5, 0.6], [-0.5, -0.4, -0.4]])
    torch.testing.assert_close(result, expected)


def test_token_advantages_are_amplified_one_by_one():
    advantages = torch.tensor([[1.0, 2.0, -3.0], [0.0, -1.0, 4.0]])
    expected = torch.tensor([[1.5, 2.0, -1.5], [0.0, -0.5, 6.0]])
    torch.testing.assert_close(hicra_advantages(advantages, MASK, alpha=0.5), expected)


def test_alpha_zero_changes_no_bit():
    advantages = torch.randn(2)
    assert torch.equal(hicra_advantages(advantages, MASK, alpha=0.0), advantages[:, None].expand(2, 3))


def test_no_sign_flips_below_one():
    advantages = torch.tensor([-2.0, 3.0])
    result = hicra_advantages(advantages, torch.ones(2, 5, dtype=torch.bool), alpha=0.999)
    assert torch.equal(result.sign(), advantages.sign()[:, None].expand(2, 5))


@pytest.mark.parametrize("alpha", [-0.1, 1.0, 1.5, float("nan")])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\), got"):
        hicra_advantages(torch.zeros(2), MASK, alpha)


def test_an_integer_mask_is_refused_since_it_would_index():
    with pytest.raises(ValueError, match=r"must be a bool tensor, got torch.int64"):
        hicra_advantages(torch.zeros(2), MASK.long(), 0.2)


def test_the_input_is_not_written_to():
    advantages = torch.ones(2, 3)
    hicra_advantages(advantages, MASK, 0.2)
    assert torch.equal(advantages, torch.ones(2, 3))
