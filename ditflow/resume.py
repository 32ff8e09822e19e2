"""Whether a checkpoint can be gone on from, found before anything is computed or written."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ditflow.errors import DitflowError


def checkpoint_path(given: str | Path) -> Path:
    """The checkpoint itself, also when a run's folder is given.

    Raises:
        DitflowError: there is none.
    """
    path = Path(given)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise DitflowError(
            f"resume={given}: {path} does not exist; give the folder of a run that was stopped, or "
            "leave --resume out to begin anew."
        )
    return path


def read_run(path: Path) -> dict[str, Any]:
    """What a checkpoint says of the run that wrote it; nothing in it can run code.

    Raises:
        DitflowError: not a whole checkpoint of a fit.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint["run"]
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise DitflowError(
            f"resume={path} is not a whole checkpoint of a fit; leave --resume out to begin anew."
        ) from error


def check_same_run(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those that the checkpoint was made with.

    Raises:
        DitflowError: names the first setting that differs, and both values.
    """
    for name, value in own.items():
        if saved.get(name) != value:
            raise DitflowError(
                f"resume: the checkpoint was made with {name}={_short(saved.get(name))}, this run "
                f"has {_short(value)}; give what the first run was given, or leave --resume out."
            )


def _short(value: Any, length: int = 80) -> str:
    text = str(value)
    return text if len(text) <= length else f"{text[:length]}..."
