"""What nodes are given and give, as JSON: from one Python to another, frames in files.

Of ComfyUI's own packages it needs torch and numpy, and nothing of ditflow's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch


def packed(value: Any, folder: Path, other: Callable[[Any], dict[str, Any]]) -> Any:
    """A value as JSON holds it; each tensor is a file of a folder.

    Args:
        value: plain, a tensor, one of `other`'s, or a list of such.
        folder: of the files.
        other: makes a mapping of anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [packed(each, folder, other) for each in value]
    if isinstance(value, torch.Tensor):
        path = folder / f"{uuid4().hex}.npy"
        np.save(path, value.numpy(force=True))
        return {"tensor": str(path)}
    return other(value)


def unpacked(value: Any, other: Callable[[dict[str, Any]], Any]) -> Any:
    """The value that was packed; the file of a tensor is not needed after.

    Args:
        value: as `packed` gave it.
        other: makes a value of what its own `other` made.
    """
    if isinstance(value, list):
        return [unpacked(each, other) for each in value]
    if not isinstance(value, dict):
        return value
    return torch.from_numpy(np.load(value["tensor"])) if "tensor" in value else other(value)
