"""`motion.safetensors`: header, tensors, the hub, and use in an ordinary pipeline."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.embedding.listing import list_embeddings
    from ditflow.embedding.motion_embedding import MotionEmbedding

__all__ = ["MotionEmbedding", "list_embeddings"]

__getattr__ = importer(
    __name__, {"MotionEmbedding": "motion_embedding", "list_embeddings": "listing"}
)
