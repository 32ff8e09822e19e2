"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ditflow.backbones.loading import load_backbone
    from ditflow.data import MotionDataModule
    from ditflow.embedding import MotionEmbedding
    from ditflow.errors import DitflowError
    from ditflow.listing import list_embeddings
    from ditflow.module import MotionTransfer
    from ditflow.settings import read_settings

__all__ = [
    "DitflowError",
    "MotionDataModule",
    "MotionEmbedding",
    "MotionTransfer",
    "list_embeddings",
    "load_backbone",
    "read_settings",
]

_MODULES = {
    "DitflowError": "errors",
    "MotionDataModule": "data",
    "MotionEmbedding": "embedding",
    "MotionTransfer": "module",
    "list_embeddings": "listing",
    "load_backbone": "backbones.loading",
    "read_settings": "settings",
}


def __getattr__(name: str) -> Any:
    # On first use: importing all of them takes seconds, which `ditflow --version` has no need of.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
