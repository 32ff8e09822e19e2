"""The commands, as `ditflow --help` lists them, and where each is."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `ditflow --help` need not wait for it
    from jsonargparse import ArgumentParser

HEADING = "ditflow: transfer the motion of a video to new videos, with no training of the model."

NOTE = """\
Every command has --help; `fit` and `predict` also have --print_config. `ditflow --version` tells
the versions of what matters."""


class Command:
    """A command of `ditflow`: a function whose signature and docstring are its command line.

    Args:
        name: as it is typed, in one word or two.
        where: file and function.
        examples: what may be typed after the name.
        own_parser: the command line is not the signature: the function takes the arguments as they
            are typed, and its parser stands beside it, by the same name with `_parser`.
    """

    def __init__(self, name: str, where: str, *examples: str, own_parser: bool = False):
        self.name, self.where, self.examples = name, where, examples
        self.words, self.own_parser = name.split(), own_parser

    def load(self) -> Callable[[list[str]], int | None]:
        """The imported command, which takes the arguments after its name."""
        function = self._import()
        if self.own_parser:
            return function
        return lambda args: function(**vars(self.parser().parse_args(args)))

    def parser(self) -> "ArgumentParser":
        """The parser of its command line."""
        if self.own_parser:
            return self._import("_parser")()
        from ditflow.settings.parsing import command_parser

        return command_parser(self.name, self._import())

    def _import(self, suffix: str = "") -> Callable[..., Any]:
        file, _, name = self.where.partition(":")
        return vars(import_module(f"ditflow.commands.{file}"))[name + suffix]


COMMANDS = (
    Command("demo", "demo:demo", "--output demo"),
    Command(
        "fit",
        "fit_and_predict:fit",
        '--video ref.mp4 --prompt "..." --output DIR [--config PRESET]',
        own_parser=True,
    ),
    Command("preview", "preview:preview", "--video ref.mp4 --output DIR [--config PRESET]"),
    Command(
        "predict",
        "fit_and_predict:predict",
        '--embedding DIR/motion.safetensors --prompts "..." "..." --output DIR',
        own_parser=True,
    ),
    Command("inspect", "inspect_embedding:inspect", "DIR/motion.safetensors"),
    Command(
        "test",
        "test:score",
        "--embedding DIR/motion.safetensors --video ref.mp4 --output DIR",
        '--videos a.mp4 b.mp4 --video ref.mp4 --prompts "..." --output DIR',
    ),
    Command("benchmark", "benchmark:benchmark", "--config MANIFEST --output DIR", own_parser=True),
    Command("page", "page:page", "DIR"),
    Command("app", "app:app", "[--config PRESET]"),
    Command("comfyui install", "comfyui:install", "DIR [--python VENV]"),
    Command("rate make", "rate:make", "--results DIR --output DIR"),
    Command("rate figure", "rate:figure", "answers-*.json --key DIR/key.json --output DIR"),
    Command("presets", "presets:presets", "[NAME]"),
    Command("plan", "plan:plan", "--config PRESET [--memory GIB]"),
    Command("selftest", "selftest:selftest", "--config PRESET"),
    Command("push", "push:push", "DIR USER/NAME"),
    Command("doctor", "doctor:doctor", ""),
    Command("completion", "completion:completion", "bash"),
)


def usage(commands: Iterable[Command] = COMMANDS) -> str:
    """The lines of `ditflow --help` on some commands."""
    lines = (f"  ditflow {each.name} {more}" for each in commands for more in each.examples)
    return "\n".join(line.rstrip() for line in lines)
