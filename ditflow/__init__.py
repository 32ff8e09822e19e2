"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""

__version__ = "0.1.0"

from ditflow.backbones.loading import load_backbone
from ditflow.data import MotionDataModule
from ditflow.embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.settings import read_settings

__all__ = [
    "DitflowError",
    "MotionDataModule",
    "MotionEmbedding",
    "MotionTransfer",
    "load_backbone",
    "read_settings",
]
