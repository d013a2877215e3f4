"""`hicra plot`: the paper's figures from the folders of runs."""

from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from ..fields import Checked, Name
from .parsing import run_command


PROG = "hicra plot"

_AT_ONCE = ("dynamics", "errors", "methods", "forks", "exploration", "outcomes")

DESCRIPTION = """Draws the paper's figures from the folders of runs, finished or not. Methods are told apart by what
the runs recorded (credit, alpha, lexicon, and whatever else differs), and runs that differ in the seed alone are seeds
of one method: a thin line each, their mean and its 95 % interval on top.

  hicra plot runs/mine                                  in runs/mine/figures
  hicra plot runs/playground/*-seed?                    methods beside each other, in runs/playground/figures
  hicra plot runs/a runs/b --figures dynamics errors --formats pdf --output paper

  dynamics     figures 3, 13    perplexity, token, semantic and conditional entropy, accuracy, length
  errors       figure 5         errors of strategy and others over steps
  methods      figures 6 to 8   semantic and token entropy, length, pass@k, validation accuracy
  forks        figure 10        planning tokens and tokens of high entropy, from token records
  exploration  figure 14        semantic entropy and accuracy
  outcomes     none             what the most frequent grams go along with, right answers or wrong ones
  sensitivity  figures 11, 12   with 30 % of the grams removed; reads all saved completions, so it has to be asked for

Beside each lies a CSV file with its numbers. What a run lacks is said, and the rest is drawn."""


@dataclass
class PlotArguments(Checked):
    """
    What to draw.

    Args:
        figures (`list[str]`, *optional*):
            Which figures. Defaults to all but `"sensitivity"`.
        formats (`list[str]`, *optional*, defaults to `["svg", "pdf", "png"]`):
            In which formats.
        output (`str`, *optional*):
            The folder for them. Defaults to `figures` in the folder of the run, or of several in the one that holds
            them.
    """

    figures: list[str] = field(default_factory=lambda: [*_AT_ONCE])
    formats: list[str] = field(default_factory=lambda: ["svg", "pdf", "png"])
    output: Name | None = None


def run(argv: list[str]) -> int:
    """Writes the figures and returns the exit status."""
    given = list(takewhile(lambda argument: not argument.startswith("--"), argv))
    return run_command(PROG, (PlotArguments,), argv[len(given) :], lambda args: plot(given, args))


def plot(folders: list[str], args: PlotArguments) -> None:
    """Writes the figures."""
    from ..analysis.alarms import read_alarms
    from ..analysis.figures import FIGURES, write_figures
    from ..analysis.runs import read_runs
    from ..dynamics.curves import FORMATS
    from ..terminal import did_you_mean, say
    from ..training.runs.files import HEALTH_FILE

    if not folders:
        raise ValueError("expected the folders of runs in front of any --field, got none")
    for name, chosen, known in (("figures", args.figures, FIGURES), ("formats", args.formats, FORMATS)):
        if unknown := [one for one in chosen if one not in known]:
            hint = did_you_mean(unknown, known)
            raise ValueError(f"{name} must be among {', '.join(known)}, got {unknown[0]!r}{hint}")
    runs = read_runs(folders)
    output = Path(args.output) if args.output else default_output(folders)
    files, missing = write_figures(runs, args.figures, output, args.formats)
    for line in missing:
        say(f"{PROG}: {line}")
    for run in (run for seeds in runs.values() for run in seeds.values()):
        if run.logs or (run.folder / HEALTH_FILE).is_file():
            for alarm in read_alarms(run.folder):
                say(f"{PROG}: {run.folder}, {alarm.line()}")
    for method, seeds in runs.items():
        print(f"{method}: seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}")
    print("\n".join(map(str, files)))


def default_output(folders: list[str]) -> Path:
    """`figures` in the run's folder; of several, in the folder that holds them, or here where that is not one."""
    first, *others = map(Path, folders)
    if not others:
        return first / "figures"
    return (first.parent if all(other.parent == first.parent for other in others) else Path()) / "figures"
