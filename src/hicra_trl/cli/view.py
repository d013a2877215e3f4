"""`hicra view`: the rollouts of one or two runs, in one HTML page."""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from ..analysis.viewer import read_run, write_view
from ..fields import Checked, Count, CountOrZero, Name
from .parsing import run_command


PROG = "hicra view"

DESCRIPTION = """Writes one HTML page to browse the rollouts of a run: every token with its class, credit, entropy and
log-probability where the run was trained with token_record, else the completions that it saved. Two runs are shown
side by side on the same problem. The page needs no network, and opens in any browser.

  hicra view RUN
  hicra view RUN RUN --output both.html
  hicra view RUN --steps 10 50 100
  hicra view --demo"""


@dataclass
class ViewArguments(Checked):
    """
    What to view.

    Args:
        run (`list[str]`, *optional*):
            The `output_dir` of one run, or of two. Given without its name.
        demo (`bool`, *optional*, defaults to `False`):
            Show the small record that is shipped with the package, of a run of the playground.
        output (`str`, *optional*):
            The HTML file; only one of this command is replaced. Defaults to `view.html` in the first run's folder.
        steps (`list[int]`, *optional*):
            Steps to show. Defaults to all.
        limit (`int`, *optional*, defaults to `2000`):
            About how many rollouts of a run to show at most, as whole groups spread over its steps.
    """

    run: list[Name] = field(default_factory=list)
    demo: bool = False
    output: Name | None = None
    steps: list[CountOrZero] = field(default_factory=list)
    limit: Count = 2000


def run(argv: list[str]) -> int:
    """Writes the page and returns the exit status."""
    return run_command(PROG, (ViewArguments,), argv if argv[0].startswith("-") else ["--run", *argv], view)


def view(args: ViewArguments) -> None:
    """Writes the page."""
    folders = [Path(folder) for folder in args.run]
    if args.demo == bool(folders) or len(folders) > 2:
        raise ValueError(f"expected one run, two runs, or --demo, got {len(folders)} runs")
    if args.demo:
        folders = [Path(str(files("hicra_trl.analysis.viewer").joinpath("playground-demo")))]
    output = Path(args.output or ("hicra-demo.html" if args.demo else folders[0] / "view.html"))
    runs = [read_run(folder, args.steps or None, args.limit) for folder in folders]
    write_view(output, runs)
    for shown in runs:
        for note in shown.notes:
            print(f"{shown.name}: {note}")
    print(f"{' and '.join(shown.name for shown in runs)}, {output.stat().st_size / 1e6:.1f} MB: {output}")
