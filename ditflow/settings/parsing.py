"""Command lines from typed functions, and parsers whose errors are one line."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type

from ditflow.errors import DitflowError, shortened

# In configurations `~` is home, too; on the command line it is so in all paths, of whatever type.
register_type(Path, str, lambda given: Path(given).expanduser(), type_check=isinstance)


class CommandParser(ArgumentParser):
    """A parser that raises what is wrong as `DitflowError`, in one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        # `--conf` would go past what looks for `--config` before the parser.
        super().__init__(*args, **{"allow_abbrev": False} | kwargs)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse_args(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            # The parser's own, over values that it did not expect where they are.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DitflowError(
                f"an option or a setting has a value of a wrong type ({shortened(reason, 200)})."
            ) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip() for line in str(message).splitlines() if line.strip()]
        raise DitflowError(shortened(" ".join(lines), 2000))


NAMES = {"config": ("-c", "--config"), "prompts": ("--prompts", "--prompt")}
"""Those of options that take several values and have a second name."""


def command_parser(name: str, command: Callable[..., int | None]) -> CommandParser:
    """The command line of a function, from its signature and its docstring in Google's style.

    What stands before `*` is positional, what follows it is an option, `--start-frame` for
    `start_frame`. A `Sequence` takes every value up to the next option; `config` can be repeated,
    too. `X | None` is typed as X, but a bool as true, false or null.

    Args:
        name: of the command, as it is typed after `ditflow`.
        command: returns the exit status, or None for 0.
    """
    documented = docstring_parser.parse(inspect.getdoc(command) or "")
    said = {parameter.arg_name: parameter.description for parameter in documented.params}
    description = documented.description or ""
    if documented.returns is not None:
        description += f"\n\nReturns: {documented.returns.description}"
    parser = CommandParser(prog=f"ditflow {name}", description=description)
    types = get_type_hints(command)
    for key, parameter in inspect.signature(command).parameters.items():
        kind = _without_none(types[key])
        several = get_origin(kind) is Sequence
        required = parameter.default is parameter.empty
        given: dict[str, Any] = {"type": get_args(kind)[0] if several else kind}
        if not required:
            given["default"] = parameter.default
        if several:
            given["nargs"] = "+"
        if key == "config":
            given["action"] = "extend"
        if parameter.kind is parameter.KEYWORD_ONLY:
            option = (f"--{key.replace('_', '-')}",)
            names = NAMES.get(key, option) if several else option
            given["required"] = required
        else:
            names = (key,)
            if not required:
                given["nargs"] = "?"
        parser.add_argument(*names, help=said.get(key), **given)
    return parser


def _without_none(kind: Any) -> Any:
    """X for `X | None`: an option that is left out is None. Of a bool, null can be typed."""
    if get_origin(kind) not in (Union, UnionType) or kind == bool | None:
        return kind
    kinds = [each for each in get_args(kind) if each is not NoneType]
    if len(kinds) > 1:
        raise TypeError(f"{kind} has no command line: give a parameter one type, or that or None")
    return kinds[0]
