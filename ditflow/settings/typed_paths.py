"""Paths on the command line: `~` is home in all of them, and what is not there is said before torch
is imported, which takes seconds."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ditflow.embedding.hub import found_here
from ditflow.errors import DitflowError
from ditflow.runs.folder import check_inputs
from ditflow.utils.files import check_output
from ditflow.utils.shipped import check_source, is_hub_name

TEXTS = ("--prompt", "--prompts", "--negative-prompt", "--data.prompts", "--model.negative_prompt")
"""Options whose values are no paths, whatever they begin with."""

HOME = re.compile(r"~([/\\].*)?", re.DOTALL)


def home_expanded(args: Sequence[str]) -> list[str]:
    """A command line with `~` expanded where a shell has left it: in quotes, or after an equals
    sign."""
    expanded, option = [], ""
    for token in args:
        name, equals, value = token.partition("=") if is_option(token) else ("", "", token)
        option = name or option
        if option not in TEXTS and HOME.fullmatch(value):
            value = os.path.expanduser(value)  # noqa: PTH111 - Path's raises where there is none
        expanded.append(name + equals + value)
    return expanded


def typed_values(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every value of a command line with the option that it is given to."""
    option = ""
    for token in args:
        if not is_option(token):
            yield option, token
            continue
        option, equals, value = token.partition("=")
        if equals:
            yield option, value


def check_paths(command: str, args: Sequence[str]) -> None:
    """Refuse a command's paths that cannot be read, or written to.

    Args:
        command: its name.
        args: the command line; one that asks for help or for its settings alone is not checked.

    Raises:
        DitflowError: names the first.
    """
    if any(token.startswith(("--print_config", "--help")) or token == "-h" for token in args):
        return
    checked = {"output", "trainer.default_root_dir", *INPUTS.get(command, ())}
    for option, value in typed_values(args):
        name = option.removeprefix("--").removeprefix("data.").replace("-", "_")
        if name in checked and value != "null":
            CHECKS[name](name, value)


def _check_embedding(option: str, value: str) -> None:
    if Path(value).exists() or not is_hub_name(value):
        found_here(value)


def _check_prompts(option: str, value: str) -> None:
    if not Path(value).exists():
        raise DitflowError(f"{option}={value} does not exist; give a file with one prompt a line.")


def _check_footage(option: str, value: str) -> None:
    check_inputs({option: value})


def _check_output(option: str, value: str) -> None:
    check_output(Path(value))


def _check_backbone(option: str, value: str) -> None:
    check_source(value)


CHECKS: Mapping[str, Callable[[str, str], None]] = {
    "video": _check_footage,
    "videos": _check_footage,
    "mask": _check_footage,
    "image": _check_footage,
    "embedding": _check_embedding,
    "prompts_file": _check_prompts,
    "backbone": _check_backbone,
    "output": _check_output,
    "trainer.default_root_dir": _check_output,
}
"""By option, underscores for hyphens."""

INPUTS: Mapping[str, Sequence[str]] = {
    "fit": ("video", "mask", "image", "prompts_file", "backbone"),
    "predict": ("image", "embedding", "prompts_file", "backbone"),
    "preview": ("video", "mask", "backbone"),
    "test": ("video", "videos", "image", "embedding", "prompts_file", "backbone"),
}
"""Of each command, what it reads; what else it is given it refuses for another reason."""


def is_option(token: str) -> bool:
    """Whether it is an option, and no value of one."""
    return token.startswith("--") or token == "-c"
