"""`ditflow completion`: what a shell needs to complete commands, options and preset names."""

import argparse
import inspect
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from ditflow.backbones.loading import load_backbone
from ditflow.callbacks import KVInjection
from ditflow.commands.fit_and_predict import MotionCLI
from ditflow.commands.table import COMMANDS
from ditflow.data import MotionDataModule
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.settings.options import LISTS, short_options
from ditflow.settings.parsing import CommandParser
from ditflow.settings.trust import known_backbones
from ditflow.settings.unheeded import UNHEEDED
from ditflow.utils.shipped import MANIFESTS, PRESETS, shipped_files

SHELLS = ("bash", "zsh")

OWNERS = {
    "--model.objective": AttentionMotionFlow,
    "--model.backbone": load_backbone,
    "--model": MotionTransfer,
    "--data": MotionDataModule,
    "--kv_injection": KVInjection,
}
"""Whose arguments the options with a prefix are."""


def completion(args: Sequence[str]) -> int:
    """Print the script that has a shell complete commands, options, their values, and presets.

    For bash: ditflow completion bash > ~/.local/share/bash-completion/completions/ditflow
    """
    shell = completion_parser().parse_args(list(args)).shell
    if find_spec("shtab") is None:
        raise DitflowError('completion needs the package shtab: pip install "ditflow[completion]".')
    print(completion_script(shell))
    return 0


def completion_parser() -> CommandParser:
    """Of the command line."""
    parser = CommandParser(prog="ditflow completion", description=completion.__doc__)
    parser.add_argument("shell", choices=SHELLS, help="Which one it is for.")
    return parser


def completion_script(shell: str) -> str:
    """Of all commands, for one of `SHELLS`."""
    presets, manifests = list(shipped_files(PRESETS)), list(shipped_files(MANIFESTS))
    root = ArgumentParser(prog="ditflow")
    root.add_argument("--version", action="store_true", help="Versions of what matters.")
    commands, below = root.add_subcommands(), {}
    for name, parser in parsers().items():
        for action in parser._actions:  # argparse's, and shtab's way, to say how one completes
            if "--config" in action.option_strings:
                function = "manifests" if name == "benchmark" else "presets"
                action.complete = dict.fromkeys(SHELLS, f"_ditflow_{function}")
            elif "--model.backbone" in action.option_strings:
                action.complete = {}  # its arguments are `load_backbone`'s, not the class's own
            elif "--backbone" in action.option_strings:
                action.complete = dict.fromkeys(SHELLS, "_ditflow_backbones")
        said = {"help": (parser.description or "").partition("\n")[0]}
        first, _, second = name.partition(" ")
        if second and first not in below:  # jsonargparse takes a level after the one above it
            several = ArgumentParser(description=f"ditflow {first}, and what of it.")
            commands.add_subcommand(first, several)
            below[first] = several.add_subcommands()
        below.get(first, commands).add_subcommand(second or first, parser, **said)
    named = {"presets": presets, "manifests": manifests, "backbones": sorted(known_backbones())}
    functions = [_function(shell, name, words) for name, words in named.items()]
    return root.get_completion_script(f"shtab-{shell}", preambles=functions)


def parsers() -> dict[str, ArgumentParser]:
    """Of every command, by name (`rate make`), those of `fit` and `predict` with the short options
    too."""
    try:
        _ParsersAlone([], ExitStack())
    except _Built as built:
        found = dict(built.parsers)
    for command, parser in found.items():
        for name, parameter in inspect.signature(load_backbone).parameters.items():
            parser.add_argument(f"--model.backbone.{name}", type=parameter.annotation)
        for short, full in short_options(command).items():
            if not any(f"{full}.".startswith(f"{name}.") for name in UNHEEDED[command]):
                kind = {"nargs": "+"} if full in LISTS else {"type": _type_of(full)}
                parser.add_argument(short, **kind, help=f"Short for {full}.")
    for name, place in COMMANDS.items():
        module, _, function = place.partition(":")
        beside = vars(import_module(module))
        if f"{function}_parsers" in beside:
            several = beside[f"{function}_parsers"]()
            found |= {f"{name} {what}": parser for what, parser in several.items()}
        else:
            found[name] = beside[f"{function}_parser"]()
    return found


def _type_of(full: str) -> Any:
    """The declared type of what an option sets."""
    prefix, _, name = full.rpartition(".")
    if prefix not in OWNERS:  # of the trainer: the output folder, and where to go on
        return Path
    return inspect.signature(OWNERS[prefix]).parameters[name].annotation


def _function(shell: str, name: str, words: Sequence[str]) -> str:
    """A shell function that completes some words, and files."""
    if shell == "bash":
        return (
            f"_ditflow_{name}() {{\n"
            f'  compgen -W "{" ".join(words)}" -- "$1"\n'
            '  compgen -f -- "$1"\n'
            "}"
        )
    return f"_ditflow_{name}() {{\n  compadd -- {' '.join(words)}\n  _files\n}}"


class _Built(Exception):
    """Carries the parsers of LightningCLI."""

    def __init__(self, parsers: dict[str, ArgumentParser]):
        super().__init__()
        self.parsers = parsers


class _ParsersAlone(MotionCLI):
    """LightningCLI parses and runs as it is made; this one ends when its parsers are."""

    def parse_arguments(self, parser: argparse.ArgumentParser, args: Any) -> NoReturn:
        raise _Built(self._subcommand_parsers)
