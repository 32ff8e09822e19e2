"""What is dear to make and cheap to lose, kept between runs.

In `DITFLOW_CACHE`, or ditflow's folder under `XDG_CACHE_HOME` or ~/.cache. All of it may be deleted
at any time; a folder that cannot be written to is done without.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ditflow.errors import DitflowError
from ditflow.utils.files import atomic_write, write_text
from ditflow.utils.hashing import hash_of
from ditflow.version import __version__

VERSIONS = __version__, torch.__version__, diffusers.__version__


def cache_folder() -> Path:
    """Where everything is kept."""
    if named := os.environ.get("DITFLOW_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ditflow"


def cached_json(kind: str, key: Any, make: Callable[[], Any]) -> Any:
    """Plain values as made before for this key, or made now.

    Args:
        kind: folder of its own.
        key: plain values that tell all that the result depends on, our version apart.
        make: makes it.
    """
    path = _path(kind, key, ".json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = make()
    with suppress(DitflowError):  # made again next time
        write_text(path, json.dumps(made))
    return made


def cached_tensor(kind: str, key: Any, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A tensor as made before for this key (then on the CPU), or made now; see `cached_json`."""
    path = _path(kind, key, ".safetensors")
    try:
        return load_file(path)["tensor"]
    except (OSError, SafetensorError, KeyError):
        made = make()
    with (
        suppress(DitflowError, SafetensorError),
        atomic_write(path) as partial,
    ):  # made again next time
        save_file({"tensor": made.cpu().contiguous()}, partial)
    return made


def _path(kind: str, key: Any, suffix: str) -> Path:
    return cache_folder() / kind / (hash_of([VERSIONS, key], 32) + suffix)
