"""How many completions the credit `outcome` needs to find which grams decide success.

    python benchmarks/planted_outcomes.py

Made-up generations of 16 problems: 40 grams, each in a completion with a probability of its own, and right answers by
a logistic model. Five grams multiply the odds of success, five divide them by as much, and 30 do nothing. Problems
differ in how easy they are (a standard deviation of 1.5 in log odds), and some grams are drawn by easy problems,
others by hard ones: what goes along with easy problems is not to be paid for.

Printed are the mean over the seeds of the share of the ten planted grams whose s has the right sign: after how many
completions it reaches 90 %, and what it is in the second half of the run; and there the mean of s toward the right
sign, and of |s| of the grams that do nothing. The last line has one group of all completions, so that nothing is
controlled.
"""

import argparse

import torch

from hicra_trl.terminal import table
from hicra_trl.training.credit.outcome import GramOutcomes


GRAMS, PLANTED, PROBLEMS = 40, 5, 16
SIGNS = torch.tensor([1.0] * PLANTED + [-1.0] * PLANTED + [0.0] * (GRAMS - 2 * PLANTED))
# Odds ratio, mean frequency of a gram, completions of a problem, and whether they are compared with each other alone.
CASES = (
    (1.5, 0.2, 16, True),
    (2.0, 0.2, 16, True),
    (3.0, 0.2, 16, True),
    (2.0, 0.05, 16, True),
    (2.0, 0.2, 8, True),
    (2.0, 0.2, 16, False),
)


def scores(
    seed: int, odds: float, frequency: float, group_size: int, is_controlled: bool, generations: int, window: int
) -> torch.Tensor:
    """s (generations, 40) after each generation."""
    random = torch.Generator().manual_seed(seed)
    # From half to twice the frequency.
    base = torch.logit(frequency * 2 ** (2 * torch.rand(GRAMS, generator=random) - 1))
    drawn_by_ease = 0.5 * torch.randn(GRAMS, generator=random)
    groups = torch.arange(PROBLEMS).repeat_interleave(group_size)
    outcomes, found = GramOutcomes.none(GRAMS), []
    for _ in range(generations):
        ease = torch.randn(PROBLEMS, generator=random)[groups]
        chance = torch.sigmoid(base + ease.unsqueeze(1) * drawn_by_ease)
        present = torch.rand(chance.shape, generator=random) < chance
        log_odds = 1.5 * ease + torch.tensor(odds).log() * (present.float() @ SIGNS)
        right = torch.rand(len(groups), generator=random) < torch.sigmoid(log_odds)
        outcomes = outcomes.add(present, right, groups if is_controlled else torch.zeros_like(groups), window)
        found.append(outcomes.score())
    return torch.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--generations", type=int, default=80)
    parser.add_argument("--window", type=int, default=20)
    args = parser.parse_args()
    rows = [("odds ratio", "frequency", "group", "completions", "right signs", "s", "idle |s|")]
    for odds, frequency, group_size, is_controlled in CASES:
        case = (odds, frequency, group_size, is_controlled, args.generations, args.window)
        s = torch.stack([scores(seed, *case) for seed in range(args.seeds)])
        signed = s[:, :, SIGNS != 0] * SIGNS[SIGNS != 0]
        right = (signed > 0).float().mean(dim=(0, 2))
        reached = (right >= 0.9).nonzero().flatten()
        needed = f"{(int(reached[0]) + 1) * PROBLEMS * group_size:,}" if len(reached) else "never"
        late = args.generations // 2
        idle = s[:, late:, SIGNS == 0].abs().mean()
        cells = (f"{odds:.1f}", f"{frequency:.0%}", f"{group_size if is_controlled else 'one'}", needed)
        rows.append((*cells, f"{right[late:].mean():.0%}", f"{signed[:, late:].mean():.2f}", f"{idle:.2f}"))
    print(table(rows))


if __name__ == "__main__":
    main()
