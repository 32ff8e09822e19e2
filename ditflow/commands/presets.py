"""`ditflow presets`: what is shipped to start from, presets and benchmark manifests."""

import re
from collections.abc import Iterator
from pathlib import Path

from ditflow.errors import DitflowError, shortened
from ditflow.utils.shipped import MANIFESTS, PRESETS, shipped_files


def presets(name: str | None = None) -> None:
    """List the shipped presets and benchmark manifests, or print one, to make one's own of it.

    For example: ditflow presets sprites-ablation > mine.yaml

    Args:
        name: Of the one to print.
    """
    kinds = {
        "Presets of fit, preview, plan, selftest and app": shipped_files(PRESETS),
        "Manifests of benchmark": shipped_files(MANIFESTS),
    }
    if name is not None:
        every = {shipped: path for files in kinds.values() for shipped, path in files.items()}
        if name not in every:
            raise DitflowError(
                f"name={shortened(name)} is not shipped; these are: {', '.join(sorted(every))}."
            )
        print(every[name].read_text(encoding="utf-8"), end="")
        return
    for title, files in kinds.items():
        print(f"{title}:")
        for shipped, path in files.items():
            print(f"  {shipped:<20} {' '.join(summary(path))}")


def summary(path: Path) -> Iterator[str]:
    """The first sentence of the comment that a shipped file begins with, by lines."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            return
        sentence, end, _ = re.sub("^# ", "", line).partition(". ")
        yield f"{sentence}." if end else sentence
        if end or sentence.endswith("."):
            return
