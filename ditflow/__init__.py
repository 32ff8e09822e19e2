"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer
from ditflow.version import __version__

if TYPE_CHECKING:
    from ditflow.backbones.loading import load_backbone
    from ditflow.data import MotionDataModule
    from ditflow.embedding.listing import list_embeddings
    from ditflow.embedding.motion_embedding import MotionEmbedding
    from ditflow.errors import DitflowError
    from ditflow.module import MotionTransfer
    from ditflow.settings.stacked import read_settings

__all__ = [
    "DitflowError",
    "MotionDataModule",
    "MotionEmbedding",
    "MotionTransfer",
    "__version__",
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
        "MotionEmbedding": "embedding.motion_embedding",
        "MotionTransfer": "module",
        "list_embeddings": "embedding.listing",
        "load_backbone": "backbones.loading",
        "read_settings": "settings.stacked",
    },
)
