"""Packages that only some options need."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ditflow.doctor.finding import Finding
from ditflow.metrics.cotracker import REPOSITORY

EXTRAS = {
    "bitsandbytes": ("--model.backbone.quantization", 'pip install "ditflow[quantization]"'),
    "gradio": ("ditflow app", 'pip install "ditflow[app]"'),
    "shtab": ("ditflow completion", 'pip install "ditflow[completion]"'),
}
"""Package, what needs it, and how it is had."""


def look_at_extras() -> Iterator[Finding]:
    """Which of them are installed, and whether the paper's tracker is here."""
    for package, (needs, install) in EXTRAS.items():
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, f"not installed; {needs} needs it", install)
    yield look_at_cotracker()


def look_at_cotracker() -> Finding:
    """Whether torch.hub keeps the tracker that is no package."""
    folder = Path(torch.hub.get_dir()) / f"{REPOSITORY.replace('/', '_')}_main"
    kept = "kept" if folder.is_dir() else "not kept"
    return Finding("cotracker3", f"{kept} in {folder.parent}; --tracker cotracker3 fetches it")
