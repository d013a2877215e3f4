"""Repairs a loss that would mix completions without a word; can go when TRL promises an advantage for each token."""

import copy
from collections import defaultdict

import torch
import trl
from trl import GRPOTrainer


def check_token_advantages(trainer: GRPOTrainer) -> None:
    """
    Checks that TRL's loss gives each token of each completion the advantage that stands at its place.

    Its loss takes advantages (B, T) by one branch, made for subclasses. Without it they would be broadcast to
    (B, B, T): each completion would get the batch's mean of them, and nothing would fail.

    Args:
        trainer ([`~trl.GRPOTrainer`]):
            Its settings choose the loss. The model is not run: two completions of two tokens are made up, on which
            each log-probability's gradient is its advantage times the same number, whatever the loss.

    Raises:
        `RuntimeError`: if the gradients say otherwise.
    """
    device = trainer.accelerator.device
    advantages = torch.tensor([[-1.0, -3.0], [-5.0, -7.0]], device=device)
    logps = torch.full_like(advantages, -1.0, requires_grad=True)
    ones, ids = torch.ones_like(advantages), torch.ones_like(advantages, dtype=torch.long)
    batch = {
        **dict.fromkeys(("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"), ids),
        **dict.fromkeys(("old_per_token_logps", "ref_per_token_logps", "sampling_per_token_logps"), logps.detach()),
        "importance_sampling_ratio": ones,
        "num_items_in_batch": ids.sum(),
        "advantages": advantages,
    }
    # What a loss leaves in its trainer, metrics and an entropy coefficient, goes with this copy.
    probe = copy.copy(trainer)
    vars(probe).update(
        _metrics=defaultdict(lambda: defaultdict(list)),
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (logps, ones, ones.mean()),
        current_gradient_accumulation_steps=1,
    )
    try:
        GRPOTrainer._compute_loss(probe, None, batch).backward()
        assert logps.grad is not None
        got = f"{[[round(x, 4) for x in row] for row in (-logps.grad / logps.grad[0, 0]).tolist()]}"
        follows = torch.allclose(logps.grad, -advantages * logps.grad[0, 0])
    except (RuntimeError, IndexError, ValueError) as error:
        got, follows = f"{type(error).__name__}: {error}", False
    if not follows:
        raise RuntimeError(
            f"the loss of TRL {trl.__version__} takes no advantage for each token, which HICRA needs: expected "
            f"gradients as the advantages {advantages.tolist()}, got {got}"
        )
