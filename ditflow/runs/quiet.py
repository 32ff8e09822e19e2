"""A Trainer for runs inside a larger piece of work: no bars, logs or checkpoints of its own."""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import LightningEnvironment


def quiet_trainer(
    folder: Path | str, callbacks: Sequence[Callback], device: torch.device
) -> Trainer:
    """A Trainer on the backbone's device whose only output is its callbacks', in `folder`."""
    return Trainer(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index or 0],
        # Alone, also where SLURM or torchrun started several: they share jobs, not a model.
        plugins=[LightningEnvironment()],
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )
