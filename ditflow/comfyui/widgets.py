"""ditflow's options as a node's inputs: types, choices, defaults and tooltips of the one list."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import docstring_parser

from ditflow.callbacks import KVInjection
from ditflow.data import MotionDataModule
from ditflow.embedding.header import MOST_COUNT, SEEDS
from ditflow.errors import DitflowError, shortened
from ditflow.module import MotionTransfer
from ditflow.objectives import AttentionMotionFlow
from ditflow.settings.keywords import keywords

OWNERS: Mapping[str, Callable[..., Any]] = {
    "model.objective": AttentionMotionFlow,
    "model": MotionTransfer,
    "data": MotionDataModule,
    "kv_injection": KVInjection,
}
"""Whose signature has an option of a run, by where it stands in a configuration."""

UNSET = "as the preset"
"""First of a menu's choices: nothing is said, and the preset's holds."""

Input = tuple[Any, dict[str, Any]]
"""An input as ComfyUI wants it described: a type, or a menu's choices, and what else there is."""


class Option(NamedTuple):
    """An option where it acts.

    Attributes:
        kind: its annotation.
        said: what it is, from the docstring.
    """

    kind: Any
    said: str

    @property
    def is_plain(self) -> bool:
        """Whether it is a number, a text or a choice: no file, no class, nothing that runs code."""
        return _is_plain(self.kind)


def options_of(owner: Callable[..., Any]) -> dict[str, Option]:
    """What a function or class takes, by name."""
    documented = docstring_parser.parse(inspect.getdoc(owner) or "")
    said = {
        name.strip(): " ".join((each.description or "").split())
        for each in documented.params
        for name in each.arg_name.split(",")
    }
    initial = owner.__init__ if isinstance(owner, type) else owner  # type: ignore[misc]
    kinds = get_type_hints(initial)
    return {
        name: Option(kinds[name], said.get(name, ""))
        for name in inspect.signature(owner).parameters
    }


def run_options() -> dict[str, Option]:
    """Those of a fit or a predict by the names that `ditflow.fit` knows, but for the backbone's."""
    each = {where: options_of(owner) for where, owner in OWNERS.items()}
    found = {}
    for name, full in keywords().items():
        where, _, own = full.rpartition(".")
        if where in each and own != "backbone":
            found[name] = each[where][own]
    return found


def menu(option: Option) -> Input:
    """A choice of an option's values, or of none."""
    return [UNSET, *get_args(option.kind)], {"default": UNSET, "tooltip": option.said}


def count(option: Option, unset: str) -> Input:
    """A whole number, 0 for none.

    Args:
        option: the number's.
        unset: what 0 means.
    """
    tooltip = f"{option.said} 0: {unset}."
    return "INT", {"default": 0, "min": 0, "max": MOST_COUNT, "tooltip": tooltip}


def seed(option: Option, least: int = 0) -> Input:
    """A seed, which ComfyUI is not to draw anew for each run: it would fit again each time."""
    bounds = {"default": least, "min": least, "max": SEEDS.stop - 1}
    return "INT", bounds | {"control_after_generate": False, "tooltip": option.said}


def text(default: str, tooltip: str, multiline: bool = True) -> Input:
    """A text to be typed."""
    return "STRING", {"default": default, "multiline": multiline, "tooltip": tooltip}


def more_options(names: Iterable[str]) -> Input:
    """A text of further options, see `parse_options`."""
    return text("", f"More options, `name: value`, one a line. There are {', '.join(names)}.")


def parse_options(lines: str, known: Mapping[str, Option]) -> dict[str, str]:
    """Options from lines of `name: value`, values as they are typed.

    A workflow may be a stranger's: of what is known, only plain values can be given.

    Raises:
        DitflowError: a line of another form, or an option that there is not.
    """
    found = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value:
            raise DitflowError(f"options={shortened(line)} is no `name: value`; give one a line.")
        if name not in known or not known[name].is_plain:
            names = ", ".join(plain(known))
            raise DitflowError(f"options={shortened(name)} cannot be set here; there are {names}.")
        found[name] = value
    return found


def plain(known: Mapping[str, Option]) -> list[str]:
    """Names of the options that `parse_options` takes."""
    return [name for name, option in known.items() if option.is_plain]


def _is_plain(kind: Any) -> bool:
    if get_origin(kind) is Literal or kind in (bool, int, float, str, type(None)):
        return True
    return get_origin(kind) in (Union, UnionType) and all(map(_is_plain, get_args(kind)))
