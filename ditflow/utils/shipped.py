"""Where the shipped presets and configurations are."""

from pathlib import Path

PRESETS, MANIFESTS = "presets", "configs/benchmark"
"""Folders of them."""


def shipped(folder: str) -> Path:
    """A folder of shipped files: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / folder
    return inside if inside.is_dir() else Path(__file__).parents[1] / folder


def shipped_files(folder: str) -> dict[str, Path]:
    """The YAML files of such a folder by bare name, in order."""
    return {path.stem: path for path in sorted(shipped(folder).glob("*.yaml"))}
