"""The `hicra` command."""

import importlib
import os
import sys

from .. import __version__
from ..extras import EXTRAS, not_installed
from ..terminal import did_you_mean
from .help import help_page


COMMANDS = {
    "train": "train a model with HICRA (or GRPO, at alpha 0) from a recipe",
    "mine": "mine the strategic grams of a corpus of correct solutions",
    "lexicon": "show, check, compare, publish a lexicon of strategic grams, or test how much depends on it",
    "eval": "evaluate a model on the paper's benchmarks, show the results, or compare two evaluations",
    "playground": "pretrain a tiny reasoner, train it with GRPO and HICRA, and compare: minutes on two CPU cores",
    "campaign": "train conditions x seeds of any recipe, paired, and say what the seeds can show",
    "reproduce": "train what the paper's ten claims need, test them, and write down which hold",
    "export": "make one plain folder of a run's model: adapters merged, shards put together; push it to the Hub",
    "plot": "draw the paper's figures from the folders of runs",
    "view": "browse a run's rollouts token by token, or those of two runs side by side, in an HTML page",
    "health": "say what went wrong in runs, with exit status 1 where something did",
    "judge": "ask a judge why the wrong completions of a run are wrong, or how far to trust that judge",
    "highlight": "mark the planning tokens of a text or of a run's completions in an HTML page",
}
# What needs no arguments; the others say how they are used.
RUN_BARE = ("playground", "reproduce")

HELP = """usage: hicra COMMAND [options]

Hierarchy-aware credit assignment (HICRA) for TRL.

commands:
{commands}

`hicra COMMAND --help` explains each, `--help_all` at length; `hicra --version` says which this is.
Try: hicra playground""".format(commands="\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items()))


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand and returns its exit status: 0, 2 for wrong input, else what failed returned."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if argv[0] == "--version":
        print(f"hicra-trl {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        names, hint = ", ".join(COMMANDS), did_you_mean(argv[:1], COMMANDS)
        print(f"hicra: unknown command {argv[0]!r}, expected one of {names}{hint}", file=sys.stderr)
        return 2
    command, *rest = argv
    asked = set(rest) & {"-h", "--help", "--help_all"}
    if asked or (not rest and command not in RUN_BARE):
        try:
            print(help_page(command, *rest[:1], everything="--help_all" in asked), flush=True)
        except BrokenPipeError:
            # Who reads has seen enough, like `head`; Python would flush once more at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    # Imported here: help must not wait for torch.
    try:
        return importlib.import_module(f"hicra_trl.cli.{command}").run(rest)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(f"hicra {command}: {not_installed(package)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"hicra {command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
