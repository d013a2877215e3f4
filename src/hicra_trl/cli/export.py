"""`hicra export`: a run's model as one plain folder, and on the Hub."""

from dataclasses import dataclass
from pathlib import Path

from ..fields import Checked, CountOrZero, Name
from ..terminal import labelled
from ..training.export.export import check_target, export, make_repository, push
from ..training.export.weights import Trained, find_trained
from .parsing import run_command


PROG = "hicra export"

DESCRIPTION = """Makes one plain folder of what a run trained, which from_pretrained, vLLM and hicra eval load: adds an
adapter to its base, puts the shards of ZeRO or FSDP together, and writes the processor, the lexicon and a model card
beside the weights. RUN is the output_dir of a run, or one of its checkpoints.

  hicra export RUN
  hicra export RUN --checkpoint 200 --output_dir models/mine
  hicra export RUN --push_to user/name [--private true]
  hicra export RUN --dry_run"""

_FORMS = {
    "whole": "whole weights, copied",
    "adapter": "an adapter, to be added to its base",
    "zero": "shards of DeepSpeed ZeRO, to be put together",
    "fsdp": "shards of FSDP, to be put together",
}


@dataclass
class ExportArguments(Checked):
    """
    What to export.

    Args:
        run (`str`):
            The `output_dir` of a run, or one of its checkpoints. Given without its name.
        checkpoint (`int`, *optional*):
            Step of the checkpoint to take. Defaults to the last weights that the run saved completely.
        output_dir (`str`, *optional*):
            The new folder. Defaults to the run's name with `-export`, and the step if a checkpoint was asked for.
        push_to (`str`, *optional*):
            Model on the Hub to push the folder to.
        private (`bool`, *optional*, defaults to `False`):
            Make a new repository private.
        dry_run (`bool`, *optional*, defaults to `False`):
            Say what would be done and stop.
    """

    run: Name | None = None
    checkpoint: CountOrZero | None = None
    output_dir: Name | None = None
    push_to: Name | None = None
    private: bool = False
    dry_run: bool = False


def run(argv: list[str]) -> int:
    """Exports and returns the exit status."""
    return run_command(PROG, (ExportArguments,), argv if argv[0].startswith("-") else ["--run", *argv], export_run)


def export_run(args: ExportArguments) -> None:
    """Makes the folder, and pushes it if asked to."""
    if args.run is None:
        raise ValueError("expected a run: hicra export RUN")
    trained = find_trained(args.run, args.checkpoint)
    step = "" if trained.folder == trained.run else f"-{trained.step}"
    output_dir = Path(args.output_dir or trained.run.with_name(f"{trained.run.name}-export{step}"))
    check_target(output_dir)
    if args.dry_run:
        print(plan(trained, output_dir, args.push_to))
        return
    # Before the work, which a repository that cannot be made would waste.
    if args.push_to:
        make_repository(args.push_to, args.private)
    folder = export(trained, output_dir)
    print(f"exported step {trained.step} of {trained.run.name}: {folder}")
    if args.push_to:
        print(f"published: {args.push_to}@{push(folder, args.push_to)}")


def plan(trained: Trained, output_dir: Path, push_to: str | None) -> str:
    """What an export would do, for a reader; no weights are loaded."""
    lines = {"run": str(trained.run), "weights": f"{trained.folder.name}, step {trained.step}: {_FORMS[trained.form]}"}
    if trained.is_adapter:
        name, revision = trained.base
        lines["base"] = name if Path(name).is_dir() else f"{name}@{revision or 'main'}"
    lines |= {"output": str(output_dir), "pushed to": push_to or "nowhere"}
    return labelled(lines)
