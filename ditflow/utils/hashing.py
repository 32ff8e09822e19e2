"""Short names for settings and weights: equal for equal contents, on every machine."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch


def hash_of(value: Any, length: int = 16) -> str:
    """Of plain values; what JSON does not know goes in as its text.

    Example:
        >>> hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def hash_of_files(paths: Iterable[Path], length: int = 64) -> str:
    """SHA-256 of the contents of files, one after another, of which no more than a block is read at
    once.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()[:length]


def hash_of_tensors(*tensors: torch.Tensor, length: int = 16) -> str:
    """Of the bytes of tensors of any device and type, and of their shapes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:length]
