"""What the site makes of the package itself: docstrings in TRL's format, fields of recipes, help, changelog."""

import re
from pathlib import Path
from typing import Any

import griffe
import yaml

from hicra_trl.cli.help import DATACLASSES, documented, help_page


ROOT = Path(__file__).parents[1]
# name (`kind`, *optional*, defaults to `default`):
_ENTRY = re.compile(r"^( +\w+) ?\((.+)\):$", re.MULTILINE)
# [`~trl.GRPOConfig`], which may lead to another module of ours
_REFERENCE = re.compile(r"\[`(~?)([\w.]+)`\](?![(\[])")


class TRLDocstrings(griffe.Extension):
    """Docstrings in TRL's format as griffe reads Google's: plain types, and references that may lead nowhere."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of one object."""
        if obj.docstring:
            text = _ENTRY.sub(_entry, obj.docstring.value)
            text = re.sub(r"^( +)`(\w+)`:", r"\1\2:", text, flags=re.MULTILINE)
            text = re.sub(r"(?<=Returns:\n)( +)(.+?)(?=: |:$)", _returned, text, flags=re.MULTILINE)
            obj.docstring.value = _REFERENCE.sub(_reference, text)


def _entry(match: re.Match[str]) -> str:
    name, head = match.groups()
    return f"{name} ({_kind(head.partition(', *optional*')[0])}):"


def _returned(match: re.Match[str]) -> str:
    return match[1] + _kind(match[2])


def _kind(text: str) -> str:
    """A type without the marks of Markdown."""
    return re.sub(r"\[~?(?:\w+\.)*(\w+)\]", r"\1", text.replace("`", ""))


def _reference(match: re.Match[str]) -> str:
    shown = match[2].rpartition(".")[2]
    return f'<autoref identifier="{match[2]}" optional><code>{shown}</code></autoref>'


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Puts what is made here where a page asks for it, as `<!-- made: name -->`, and titles where it names files."""
    titles = _titles(config.nav)
    markdown = re.sub(r"<!-- made: (\w+) -->", lambda match: MADE[match[1]](), markdown)
    return re.sub(r"\[([\w-]+\.md)\](?=\()", lambda match: f"[{titles.get(match[1], match[1])}]", markdown)


def _titles(nav: list[dict[str, Any]]) -> dict[str, str]:
    """The titles of pages, by file."""
    titles: dict[str, str] = {}
    for title, place in (entry for part in nav for entry in part.items()):
        titles |= _titles(place) if isinstance(place, list) else {place: title}
    return titles


def upstream_fields() -> str:
    """A table of TRL's and Transformers' fields that recipes of the package give."""
    given = {key for recipe in ROOT.glob("recipes/*/*.yaml") for key in yaml.safe_load(recipe.read_text())}
    rows, seen = ["| field | default | meaning |", "|---|---|---|"], set()
    for path in DATACLASSES["train"].split():
        for field in documented(path):
            if field.name in given - seen and not path.startswith("hicra_trl."):
                text = " ".join(re.split(r"(?<=\.) (?=[A-Z`\"])", field.text)[:2]).replace("|", r"\|")
                text = re.sub(r"\[`?~?([^\]`]+)`?\](\([^)]*\))?", r"`\1`", text)
                rows.append(f"| `{field.name}` | {f'`{field.default}`' if field.default else ''} | {text} |")
            seen.add(field.name)
    return "\n".join(rows)


def commands() -> str:
    """The help of every command and of its actions."""
    return "\n\n".join(f"## hicra {name}\n\n```text\n{help_page(*name.split())}\n```" for name in DATACLASSES)


def changelog() -> str:
    """CHANGELOG.md without its heading."""
    return (ROOT / "CHANGELOG.md").read_text().partition("\n")[2]


MADE = {"upstream_fields": upstream_fields, "commands": commands, "changelog": changelog}
