"""Checkpoints of a fit, written whole or not at all."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO

from ditflow.utils.files import atomic_write


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's, flushed to the disk before the one before it is replaced."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Raises `DitflowError` where the disk is full, and leaves the checkpoint before."""
        with atomic_write(Path(path)) as partial:
            super().save_checkpoint(checkpoint, partial, storage_options)
