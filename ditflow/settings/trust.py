"""Which models an embedding may have loaded by itself."""

import yaml

from ditflow.embedding.header import EmbeddingHeader
from ditflow.errors import DitflowError, shortened
from ditflow.utils.shipped import PRESETS, embedded_backbones, shipped_files


def check_backbone_is_known(header: EmbeddingHeader) -> None:
    """Refuse to fetch or open what only a stranger's file names.

    Args:
        header: of an embedding whose user has named no backbone.

    Raises:
        DitflowError: its backbone is neither embedded nor a preset's.
    """
    name = header.model.get("backbone", {}).get("init_args", {}).get("name")
    if name not in known_backbones():
        raise DitflowError(
            f"the embedding was fitted on {shortened(str(name))}, which is no model of ditflow's "
            "own presets; if you trust it, say so by --backbone and its name or folder."
        )


def known_backbones() -> set[str]:
    """Names of the embedded models and of the shipped presets' models."""
    names = set(embedded_backbones())
    for path in shipped_files(PRESETS).values():
        model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
        names.add(model.get("backbone", {}).get("init_args", {}).get("name"))
    return names - {None}
