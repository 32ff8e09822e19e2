"""Where the embedded models are."""

from pathlib import Path

EMBEDDED = Path(__file__).parent / "sprites" / "weights"


def source_of(name: str) -> str:
    """The folder of an embedded model by its name; any other name or path as it is."""
    path = EMBEDDED / name
    return str(path) if path.is_dir() else name


def embedded_backbones() -> list[str]:
    """Names of the embedded pipelines; a CLIP is none."""
    return sorted(path.parent.name for path in EMBEDDED.glob("*/model_index.json"))
