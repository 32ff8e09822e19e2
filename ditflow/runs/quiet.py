"""A Trainer for runs inside a larger piece of work: no bars, logs or checkpoints of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment


def quiet_trainer(
    folder: Path | str | None,
    callbacks: Sequence[Callback],
    device: torch.device,
    **changes: Any,
) -> Trainer:
    """A Trainer on the backbone's device whose only output is its callbacks'.

    Args:
        folder: of that output, if there is any.
        callbacks: of the run.
        device: of the backbone.
        changes: other arguments of the Trainer.
    """
    arguments: dict[str, Any] = {
        "accelerator": device.type,
        "devices": 1 if device.type == "cpu" else [device.index or 0],
        # Alone, also where SLURM or torchrun started several: they share jobs, not a model.
        "plugins": [LightningEnvironment()],
        "max_epochs": -1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "inference_mode": False,  # of its tensors no one could take a gradient
    }
    return Trainer(default_root_dir=folder, callbacks=list(callbacks), **arguments | changes)
