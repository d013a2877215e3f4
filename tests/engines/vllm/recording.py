"""What a trainer samples and logs."""

from hicra_trl import HICRATrainer


class Recorder(HICRATrainer):
    """Keeps what is sampled, before TRL shuffles it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append(batch)
        return batch


def logs(trainer):
    """Those of the steps."""
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def sampled_ids(trainer):
    """Of all completions, without padding."""
    return [
        ids[mask.bool()].tolist()
        for batch in trainer.batches
        for ids, mask in zip(batch["completion_ids"], batch["completion_mask"])
    ]
