"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""

from typing import TYPE_CHECKING

from ditflow.lazy import importer

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

# Importing all of them takes seconds, which `ditflow --version` has no need of.
__getattr__ = importer(
    __name__,
    {
        "DitflowError": "errors",
        "MotionDataModule": "data",
        "MotionEmbedding": "embedding",
        "MotionTransfer": "module",
        "list_embeddings": "listing",
        "load_backbone": "backbones.loading",
        "read_settings": "settings",
    },
)
