"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer
from ditflow.version import __version__

if TYPE_CHECKING:
    from ditflow.assembly.calls import fit, predict
    from ditflow.assembly.run import Fit
    from ditflow.backbones.loading import load_backbone
    from ditflow.data import MotionDataModule
    from ditflow.embedding.listing import list_embeddings
    from ditflow.embedding.motion_embedding import MotionEmbedding
    from ditflow.errors import DitflowError
    from ditflow.module import MotionTransfer
    from ditflow.settings.stacked import read_settings

__all__ = [
    "DitflowError",
    "Fit",
    "MotionDataModule",
    "MotionEmbedding",
    "MotionTransfer",
    "__version__",
    "fit",
    "list_embeddings",
    "load_backbone",
    "predict",
    "read_settings",
]

# Importing all of them takes seconds, which `ditflow --version` has no need of.
__getattr__ = importer(
    __name__,
    {
        "DitflowError": "errors",
        "Fit": "assembly.run",
        "MotionDataModule": "data",
        "MotionEmbedding": "embedding.motion_embedding",
        "MotionTransfer": "module",
        "fit": "assembly.calls",
        "list_embeddings": "embedding.listing",
        "load_backbone": "backbones.loading",
        "predict": "assembly.calls",
        "read_settings": "settings.stacked",
    },
)
