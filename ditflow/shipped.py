"""Where the shipped presets and configurations are."""

from pathlib import Path


def shipped(folder: str) -> Path:
    """A folder of shipped files: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / folder
    return inside if inside.is_dir() else Path(__file__).parents[1] / folder
