"""What labeling and measuring cost on real text, by the length of the completions."""

import random

import torch

from hicra_trl.dynamics import DynamicsMeter
from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams
from labeler import TRACES, best_seconds, generated, read_traces


NUM_ROWS = 64
LENGTHS = tuple(1024 * 2**i for i in range(6))


def read_texts():
    """Real traces, or generated paragraphs where there are none."""
    if TRACES.is_dir():
        return read_traces(TRACES)
    grams, rng = StrategicGrams.paper(), random.Random(0)
    return [generated(grams, rng) for _ in range(300)]


class RealText:
    """Times the two on rows of whole texts in random order."""

    def __init__(self, texts, tokenizer, device):
        self.device = device
        self.encoded = [tokenizer.encode(text) for text in texts]
        self.labeler = PlanningTokenLabeler(tokenizer, StrategicGrams.paper())

    def rows(self, num_rows, length):
        rng, rows = random.Random(0), []
        for _ in range(num_rows):
            row = []
            while len(row) < length:
                row += rng.choice(self.encoded)
            rows.append(row[:length])
        return torch.tensor(rows, device=self.device)

    def seconds(self, num_rows, length):
        """Of labeling, and of measuring what was labeled; the best of three times each."""
        ids = self.rows(num_rows, length)
        mask, advantages = torch.ones_like(ids), torch.ones(ids.shape, device=self.device)
        labels = self.labeler.label(ids, mask)
        num_grams = len(self.labeler.grams)
        labeling = best_seconds(lambda: self.labeler.label(ids, mask), 3)
        measuring = best_seconds(lambda: DynamicsMeter(num_grams).add_completions(labels, mask, advantages), 3)
        return labeling, measuring


def print_growth(text):
    print(f"{NUM_ROWS} completions of {'real traces' if TRACES.is_dir() else 'generated text'}, on the {text.device}")
    print(f"{'tokens each':>11}{'labeling, ms':>15}{'ns per token':>14}{'measuring, ms':>16}{'ns per token':>14}")
    for length in LENGTHS:
        cells = [(1e3 * seconds, 1e9 * seconds / (NUM_ROWS * length)) for seconds in text.seconds(NUM_ROWS, length)]
        (label_ms, label_ns), (meter_ms, meter_ns) = cells
        print(f"{length:>11,}{label_ms:>15.1f}{label_ns:>14.1f}{meter_ms:>16.1f}{meter_ns:>14.1f}", flush=True)
