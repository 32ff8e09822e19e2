"""Whether a checkpoint can be gone on from, found before anything is computed or written."""

import logging
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ditflow.errors import DitflowError
from ditflow.runs.folder import CHECKPOINTS, LAST

log = logging.getLogger(__name__)

UNSAID = ("frames taken", "crop")
"""What checkpoints of earlier versions do not say; the frames themselves are compared anyway."""


def checkpoint_path(given: str | Path) -> Path | None:
    """The checkpoint itself, also when a run's folder is given; None if that run was stopped before
    it had any, so that there is nothing to go on from.

    Raises:
        DitflowError: neither is there.
    """
    path = Path(given)
    if path.is_dir():
        path = path / CHECKPOINTS / f"{LAST}.ckpt"
        if not path.exists():
            log.info("No guided step was finished in %s: beginning anew.", given)
            return None
    if not path.is_file():
        raise DitflowError(
            f"resume={given} does not exist; give the folder of a run that was stopped, or leave "
            "--resume out to begin anew."
        )
    return path


def read_run(path: Path) -> Mapping[str, Any]:
    """What a checkpoint says of the run that wrote it; nothing in it can run code.

    Raises:
        DitflowError: not a whole checkpoint of a fit.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        run = checkpoint["run"] if isinstance(checkpoint, Mapping) else None
        if not isinstance(run, Mapping):
            raise TypeError("not of a fit")
        return run
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise DitflowError(
            f"resume={path} is not a whole checkpoint of a fit; leave --resume out to begin anew."
        ) from error


def check_same_run(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those that the checkpoint was made with.

    Raises:
        DitflowError: names the first setting that differs, and both values.
    """
    flat = dict(_flat(saved))
    for name, value in _flat(own):
        if flat.get(name) != value and not (name in UNSAID and name not in flat):
            raise DitflowError(
                f"resume: the checkpoint was made with {name}={_short(flat.get(name))}, this run "
                f"has {_short(value)}; give what the first run was given, or leave --resume out."
            )


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its name, `outer.inner` where mappings are nested."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _short(value: Any, length: int = 80) -> str:
    text = str(value)
    return text if len(text) <= length else f"{text[:length]}..."
