"""`ditflow inspect`: what is in a motion embedding, in a table."""

from pathlib import Path

from ditflow.embedding.description import describe_embedding
from ditflow.embedding.motion_embedding import MotionEmbedding


def inspect(embedding: Path) -> None:
    """Print what is in a motion embedding: a file, a folder that holds one, or a hub repository.

    Args:
        embedding: Such as DIR/motion.safetensors.
    """
    print(describe_embedding(MotionEmbedding.from_pretrained(embedding)))
