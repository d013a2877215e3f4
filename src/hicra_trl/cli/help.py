"""Help on the subcommands, read from the docstrings in the source: nothing is imported, so it is there at once."""

import ast
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap

from ..terminal import labelled
from .parsing import shipped_recipes


# What a subcommand takes in front of fields.
USAGES = {
    "train": "--config RECIPE | --resume RUN",
    "mine": "--dataset DATASET",
    "lexicon": "ACTION LEXICON|RUN",
    "eval": "--model MODEL --benchmarks NAME ...",
    "playground": "",
    "campaign": "--config CAMPAIGN",
    "reproduce": "",
    "export": "RUN",
    "plot": "RUN ...",
    "view": "RUN [RUN]",
    "health": "RUN ...",
    "judge": "RUN --judge JUDGE",
    "highlight": "--input FILE",
}
# The dataclasses that a subcommand parses, or one of its actions where those are others, and those that they inherit
# from. Of a field that two describe, the first counts.
DATACLASSES = {
    "train": """
        hicra_trl.cli.train.LaunchArguments hicra_trl.data.prompts.DataArguments
        hicra_trl.training.rewards.RewardArguments hicra_trl.training.arguments.RunArguments
        hicra_trl.training.config.HICRAConfig trl.trainer.grpo_config.GRPOConfig trl.trainer.base_config._BaseConfig
        transformers.training_args.TrainingArguments trl.trainer.model_config.ModelConfig
    """,
    "mine": """
        hicra_trl.grams.mining.corpus.CorpusArguments hicra_trl.cli.mine.MineArguments
        hicra_trl.grams.mining.config.MiningConfig
    """,
    "lexicon": "hicra_trl.cli.lexicon.LexiconArguments hicra_trl.grams.mining.corpus.CorpusArguments",
    "eval": "hicra_trl.evaluation.settings.EvalArguments",
    **dict.fromkeys(("eval show", "eval compare", "eval push"), ""),
    "playground": "hicra_trl.cli.playground.PlaygroundArguments",
    "campaign": "hicra_trl.cli.campaign.CampaignArguments",
    "campaign show": "hicra_trl.cli.campaign.ShowArguments",
    "reproduce": "hicra_trl.cli.reproduce.ReproduceArguments",
    "export": "hicra_trl.cli.export.ExportArguments",
    "plot": "hicra_trl.cli.plot.PlotArguments",
    "view": "hicra_trl.cli.view.ViewArguments",
    "health": "",
    "judge": "hicra_trl.cli.judge.JudgeArguments hicra_trl.cli.judge.AskArguments",
    "judge validate": "hicra_trl.cli.judge.ValidateArguments hicra_trl.cli.judge.AskArguments",
    "highlight": "hicra_trl.cli.highlight.HighlightArguments",
}
# Only `--help_all` shows these of our own fields, and others than these of TRL's and Transformers'.
FOR_LATER = """
    dataset_path decontaminate_ngram decontaminate_coverage eval_dataset_split unreadable_golds grader_timeout
    grader_workers overlong_buffer overlong_penalty held_out_dataset_split held_out_samples held_out_at_start
    extend_clipped_ratio extend_patience scale_rewards epsilon_high bf16
"""
TO_KNOW = """
    output_dir max_steps learning_rate per_device_train_batch_size gradient_accumulation_steps num_generations
    max_completion_length temperature loss_type seed save_steps eval_strategy eval_steps resume_from_checkpoint
    use_vllm use_peft model_name_or_path push_to_hub
"""
_COLUMN, _WIDTH = 34, 110
# name (`kind`, *optional*, defaults to `default`): and below it, further to the right, the text
_ENTRY = re.compile(r"^( *)(\w+) ?\((.+)\):\n((?:\1 +\S.*\n|\s*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Field:
    """A field as a docstring describes it."""

    name: str
    kind: str
    is_optional: bool
    default: str | None
    text: str


def help_page(command: str, action: str = "", everything: bool = False) -> str:
    """
    Help on one subcommand.

    Args:
        command (`str`):
            Its name.
        action (`str`, *optional*):
            One of its actions, such as `show`, for help on that alone.
        everything (`bool`, *optional*, defaults to `False`):
            All fields with all that is said of them, instead of the fields to know with a sentence or two.

    Returns:
        `str`: usage, description, fields, and the recipes that are shipped.
    """
    assignments = [node for node in _parse(f"hicra_trl.cli.{command}").body if isinstance(node, ast.Assign)]
    values = {ast.unparse(node.targets[0]): node.value for node in assignments}
    description = ast.literal_eval(values["DESCRIPTION"])
    usage, text = USAGES[command], description
    # An action has a line of its own in the description: what it takes, and what it does.
    line = rf"^  hicra {command} ({action} \S.*?)  +(.+(?:\n {{30}}.+)*)"
    if action.isalpha() and (found := re.search(line, description, re.MULTILINE)):
        usage, text = found[1], f"{found[2][0].upper()}{' '.join(found[2].split())[1:]}."
    else:
        action = ""
    shown: dict[str, str] = {}
    for path in DATACLASSES.get(f"{command} {action}", DATACLASSES[command]).split():
        for field in documented(path):
            ours = path.startswith("hicra_trl.")
            of = re.match(r"For `(\w+)`: ", field.text)
            if (not action or of is None or of[1] == action) and (
                everything or (field.name not in FOR_LATER.split() if ours else field.name in TO_KNOW.split())
            ):
                shown.setdefault(field.name, _entry(field, everything))
    parts = [f"usage: hicra {command} {usage}".rstrip() + (" [--field value ...]" if shown else ""), "", text]
    if shown:
        parts += ["", "options:", *shown.values()]
    if not action and (recipes := _recipes(command)):
        parts += ["", "recipes, each as --config FOLDER/NAME from anywhere:", recipes]
    return "\n".join(parts)


def _recipes(command: str) -> str:
    """The recipes of a subcommand that are shipped, by model."""
    models: dict[str, list[str]] = {}
    for name in shipped_recipes() if command in ("train", "eval") else ():
        model, _, method = name.partition("/")
        if (model == "eval") == (command == "eval"):
            models.setdefault(f"  {model}", []).append(method)
    return labelled({model: ", ".join(methods) for model, methods in models.items()}, _WIDTH) if models else ""


def documented(path: str) -> list[Field]:
    """The fields of the dataclass at a dotted path, as its docstring describes them, then as they are declared."""
    module, _, name = path.rpartition(".")
    [found] = [node for node in _parse(module).body if isinstance(node, ast.ClassDef) and node.name == name]
    declared = {field.name: field for node in found.body if (field := _declared(node))}
    fields = []
    for field in described(ast.get_docstring(found) or ""):
        other = declared.pop(field.name, field)
        fields.append(replace(field, default=field.default or other.default))
    return [*fields, *declared.values()]


def described(docstring: str) -> list[Field]:
    """
    The entries of a docstring's `Args`.

    Example:

    ```python
    >>> described('''Args:
    ...     alpha (`float`, *optional*, defaults to `0.2`):
    ...         Amplification, in [0, 1).
    ...         0 is GRPO.
    ... ''')
    [Field(name='alpha', kind='float', is_optional=True, default='0.2', text='Amplification, in [0, 1). 0 is GRPO.')]
    ```
    """
    fields = []
    for _, name, head, text in _ENTRY.findall(f"{docstring}\n"):
        kind, optional, _ = head.partition(", *optional*")
        default = head.partition(", defaults to ")[2].strip("`") or None
        fields.append(Field(name, kind.strip("`"), bool(optional), default, " ".join(text.split())))
    return fields


def _declared(node: ast.stmt) -> Field | None:
    """A field as TRL and Transformers declare those that no docstring describes: with the help in its metadata."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Call):
        return None
    given = {keyword.arg: keyword.value for keyword in node.value.keywords}
    default = ast.unparse(given["default"]) if "default" in given else None
    metadata = given.get("metadata")
    entries = zip(metadata.keys, metadata.values) if isinstance(metadata, ast.Dict) else ()
    texts = [
        ast.literal_eval(value) for key, value in entries if isinstance(key, ast.Constant) and key.value == "help"
    ]
    return Field(ast.unparse(node.target), ast.unparse(node.annotation), True, default, "".join(texts))


def _parse(module: str) -> ast.Module:
    """The source of a module, which is not imported."""
    package, *inner = module.split(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {package}")
    file = Path(spec.origin).parent.joinpath(*inner).with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _entry(field: Field, everything: bool) -> str:
    """A flag, and beside it what it means."""
    value = field.name.upper()
    if field.kind.startswith("Literal"):
        value = "{" + ",".join(re.findall(r"\w+", field.kind)[1:]) + "}"
    if field.kind == "bool":
        value = "true|false"
    shape = "[{}]" if field.kind == "bool" else "{} ..." if field.kind.startswith("list[") else "{}"
    flag = f"  --{field.name} " + shape.format(value)
    sentences = re.split(r"(?<=\.) (?=[A-Z`\"])", field.text)
    text = " ".join(sentences if everything else sentences[:2])
    if field.default not in (None, "None", '""', "''"):
        default = field.default.lower() if field.default in ("True", "False") else re.sub("[\"']", "", field.default)
        text += f" (default: {default})"
    first, *more = wrap(_plain(text), _WIDTH - _COLUMN, break_long_words=False, break_on_hyphens=False) or [""]
    # A long flag has its line to itself.
    beside = f"{flag:<{_COLUMN}}" if len(flag) + 2 <= _COLUMN else f"{flag}\n{' ' * _COLUMN}"
    return f"\n{' ' * _COLUMN}".join([beside + first, *more]).rstrip()


def _plain(text: str) -> str:
    """Without the marks of Markdown: of a link and of code what they show stays, and of a path the class."""
    text = re.sub(r"\[`~?(?:[a-z_]+\.)*([^`]+)`\](?:\([^)]*\))?", r"\1", text)
    return text.replace("`", "").replace("**", "")
