"""`ditflow completion`: what a shell needs to complete commands, options and preset names."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

from jsonargparse import ArgumentParser

from ditflow.commands.table import COMMANDS
from ditflow.errors import DitflowError
from ditflow.settings.trust import known_backbones
from ditflow.utils.shipped import MANIFESTS, PRESETS, shipped_files

Shell = Literal["bash", "zsh"]


def completion(shell: Shell) -> None:
    """Print the script that has a shell complete commands, options, their values, and presets.

    For bash: ditflow completion bash > ~/.local/share/bash-completion/completions/ditflow

    Args:
        shell: Which one it is for.
    """
    if find_spec("shtab") is None:
        raise DitflowError('completion needs the package shtab: pip install "ditflow[completion]".')
    print(completion_script(shell))


def completion_script(shell: Shell) -> str:
    """The script of all commands."""
    presets, manifests = list(shipped_files(PRESETS)), list(shipped_files(MANIFESTS))
    root = ArgumentParser(prog="ditflow")
    root.add_argument("--version", action="store_true", help="Versions of what matters.")
    commands, below, shells = root.add_subcommands(), {}, get_args(Shell)
    for command in COMMANDS:
        parser = command.parser()
        actions: Any = parser._actions  # shtab reads how one completes from an attribute of it
        for action in actions:
            if "--config" in action.option_strings:
                function = "manifests" if command.name == "benchmark" else "presets"
                action.complete = dict.fromkeys(shells, f"_ditflow_{function}")
            elif "--model.backbone" in action.option_strings:
                action.complete = {}  # its arguments are `load_backbone`'s, not the class's own
            elif "--backbone" in action.option_strings:
                action.complete = dict.fromkeys(shells, "_ditflow_backbones")
        said = {"help": (parser.description or "").partition("\n")[0]}
        first, *second = command.words
        if second and first not in below:  # jsonargparse takes a level after the one above it
            several = ArgumentParser(description=f"ditflow {first}, and what of it.")
            commands.add_subcommand(first, several)
            below[first] = several.add_subcommands()
        below.get(first, commands).add_subcommand(command.words[-1], parser, **said)
    named = {"presets": presets, "manifests": manifests, "backbones": sorted(known_backbones())}
    functions = [_function(shell, name, words) for name, words in named.items()]
    return root.get_completion_script(f"shtab-{shell}", preambles=functions)


def _function(shell: Shell, name: str, words: Sequence[str]) -> str:
    """A shell function that completes some words, and files."""
    if shell == "bash":
        return (
            f"_ditflow_{name}() {{\n"
            f'  compgen -W "{" ".join(words)}" -- "$1"\n'
            '  compgen -f -- "$1"\n'
            "}"
        )
    return f"_ditflow_{name}() {{\n  compadd -- {' '.join(words)}\n  _files\n}}"
