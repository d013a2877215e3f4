"""What a finished evaluation has found: one value, from which every table, file and push is made."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ..disk import write_whole
from .protocol import benchmark_of, protocol
from .report.tables import Row, paper_rows, results_json, results_markdown, results_text
from .samples.sample import Sample
from .samples.storage import check_folder, read_record, read_samples, samples_file
from .statistics.comparison import Comparison, compare
from .statistics.summary import Summary, by_item, summarize


@dataclass(frozen=True)
class Results:
    """
    A finished evaluation.

    Attributes:
        record (`dict[str, Any]`):
            What `evaluation.json` says: settings, model, lexicon, benchmarks and versions.
        samples (`dict[str, list[Sample]]`):
            All samples by benchmark, item by item.
    """

    record: dict[str, Any]
    samples: dict[str, list[Sample]]

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """
        Reads what an evaluation has stored.

        Raises:
            `ValueError`: if the folder holds no evaluation, or one that is not finished.
        """
        record = read_record(folder)
        samples = {}
        for name, size in record["benchmarks"].items():
            file = samples_file(folder, name)
            if not file.exists():
                raise ValueError(f"{name} in {folder} is not finished: expected samples in {file}, got none yet")
            stored = read_samples(file)
            complete = by_item(name, stored, size["items"], size["num_samples"])
            samples[name] = [sample for of_item in complete.values() for sample in of_item]
        return cls(record, samples)

    @cached_property
    def summaries(self) -> list[Summary]:
        """The numbers of each benchmark."""
        sizes = self.record["benchmarks"]
        return [
            summarize(name, samples, sizes[name]["items"], sizes[name]["num_samples"])
            for name, samples in self.samples.items()
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on."""
        return {**protocol(self.record), "lexicon": self.record["lexicon"], "versions": self.record["versions"]}

    def text(self) -> str:
        """The tables for a terminal."""
        return results_text(self.summaries, self._beside_the_paper())

    def write(self, folder: str | Path) -> None:
        """Writes `results.md` and `results.json`."""
        check_folder(folder, (), self.record)
        markdown = results_markdown(self.summaries, self.settings, self._beside_the_paper())
        write_whole(Path(folder) / "results.md", markdown)
        write_whole(Path(folder) / "results.json", results_json(self.summaries, self.settings))

    def push(self, repo_id: str) -> str:
        """
        Adds the results to a model on the Hub, and returns the commit's hash.

        Raises:
            `ValueError`: as [`~hicra_trl.evaluation.report.hub.push_results`] does.
        """
        # Not needed to look at results.
        from .report.hub import push_results

        results = [(summary, benchmark_of(self.record, summary.benchmark)) for summary in self.summaries]
        return push_results(repo_id, results, protocol(self.record))

    def compared_with(self, other: "Results") -> Comparison:
        """
        This one, A, and another, B, problem by problem.

        Raises:
            `ValueError`: if they have nothing in common.
        """
        shared = [name for name in self.samples if name in other.samples]
        return compare(self.samples, other.samples, self._likeness(shared), other._likeness(shared))

    def _beside_the_paper(self) -> list[Row]:
        settings = self.record["settings"]
        if not settings.get("paper_model"):
            return []
        return paper_rows(self.summaries, settings["paper_model"], settings["model"])

    def _likeness(self, shared: list[str]) -> dict[str, Any]:
        """What two evaluations of `shared` benchmarks must have in common to be like with like."""
        fingerprints = {f"items of {name}": self.record["benchmarks"][name]["fingerprint"] for name in shared}
        return {**protocol(self.record), "lexicon": self.record["lexicon"]["fingerprint"], **fingerprints}
