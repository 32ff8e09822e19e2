"""mkdocs hook: the page of every option, from the command's own parsers."""

import argparse
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from mkdocs.structure.files import File, Files

from ditflow.commands.table import COMMANDS

HEADING = """\
# Options

Every option of every command, as its parser has it. Of `fit` and `predict`, short options come
first, then those of the method and the data; Lightning's trainer comes last. Any of them can stand
in a YAML file too: `--data.num_frames 17` is `data: {num_frames: 17}`.
"""


def on_files(files: Files, config: Any) -> Files:
    """Add the page to the site."""
    files.append(File.generated(config, "options.md", content=options_page()))
    return files


def options_page() -> str:
    """The page, in Markdown."""
    sections = [HEADING]
    for command in COMMANDS:
        name, parser = command.name, command.parser()
        sections.append(f"## ditflow {name}\n\n{_plain(parser.description)}\n")
        for group, rows in groupby(sorted(_rows(parser), key=_order), key=lambda row: row[0]):
            title = {"": "", "trainer": "Lightning's trainer"}.get(group, group)
            table = "\n".join(f"| {' | '.join(row[1:])} |" for row in rows)
            head = "| option | default | what it is |\n|---|---|---|"
            sections.append(f"{f'### {name}: {title}' if title else ''}\n\n{head}\n{table}\n")
    return "\n".join(sections)


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, str, str]]:
    """(group, names, default, help) of each option that is shown."""
    for action in parser._actions:
        # Of a group of options: a file for the group alone.
        hidden = action.help in (argparse.SUPPRESS, "Path to a configuration file.")
        if hidden or isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        names = action.option_strings or [action.dest]
        if any(name.endswith("+") for name in names):  # jsonargparse's way to append to a list
            names = [name for name in names if not name.endswith("+")]
        longest = max(names, key=len).removeprefix("--").removeprefix("no_")
        group = longest.partition(".")[0] if "." in longest else ""
        shown = ", ".join(f"`{name}`" for name in names)
        default = action.default
        known = default is not None and default is not argparse.SUPPRESS and action.option_strings
        yield group, shown, f"`{_plain(default)}`" if known else " ", _plain(action.help)


def _order(row: tuple[str, ...]) -> tuple[bool, bool, str]:
    return row[0] == "trainer", bool(row[0]), row[0]


def _plain(text: Any) -> str:
    """On one line, with nothing that a table would take for its own."""
    line = " ".join(str("" if text is None else text).replace("%(default)s", "").split())
    return line.replace("|", "\\|").replace("<", "&lt;")
