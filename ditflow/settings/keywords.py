"""Options as Python's keywords: the command line's short names, and the classes' own arguments."""

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import Any

from ditflow.data import MotionDataModule
from ditflow.errors import DitflowError, shortened
from ditflow.module import MotionTransfer
from ditflow.settings.options import SHORT
from ditflow.settings.unheeded import unheeded

CLASSES = {"model": MotionTransfer, "data": MotionDataModule}
PLAIN = (bool, int, float, str, list, tuple, dict, Path, NoneType)
SECTIONS = ("model.", "data.", "kv_injection.")


def keywords() -> dict[str, str]:
    """Where each option goes in a configuration: `steps` is `model.num_inference_steps`."""
    own = {
        name: f"{section}.{name}"
        for section, kind in CLASSES.items()
        for name in signature(kind).parameters
    }
    short = {
        name.removeprefix("--").replace("-", "_"): full.removeprefix("--")
        for name, full in SHORT.items()
    }
    return {name: full for name, full in (own | short).items() if full.startswith(SECTIONS)}


def as_settings(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that says what options say; of those that are None, nothing.

    Args:
        command: `fit` or `predict`, which heed different ones.
        options: by name.

    Raises:
        DitflowError: one that there is not, with the nearest, or that the command does not heed.
    """
    known = keywords()
    settings: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            near = get_close_matches(name, known, 1) or [", ".join(sorted(known))]
            raise DitflowError(
                f"{shortened(name)} is no option of ditflow.{command}; did you mean {near[0]}?"
            )
        if (found := unheeded(command, f"--{known[name]}")) is not None:
            raise DitflowError(f"{name} {found[1].replace('--', '')}.")
        if not isinstance(value, PLAIN):
            raise DitflowError(
                f"{name} is a {type(value).__name__}, which no configuration can hold; give plain "
                "values, such as a class_path with its init_args."
            )
        if value is not None:
            _put(settings, known[name].split("."), value)
    return settings


def _put(settings: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value in nested mappings; a class's arguments are below its `init_args`."""
    *above, name = [*path[:2], "init_args", *path[2:]] if len(path) > 2 else path
    for part in above:
        settings = settings.setdefault(part, {})
    settings[name] = value
