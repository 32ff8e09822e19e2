"""One fit shared by several processes: each has its part of the prompts, ρ is common to all."""

from typing import TYPE_CHECKING, Any

import torch.distributed
from lightning import Trainer

from ditflow.errors import DitflowError
from ditflow.hashing import hash_of_tensors

if TYPE_CHECKING:
    from ditflow.module import MotionTransfer


def own(trainer: Trainer, items: list[Any]) -> list[Any]:
    """This process' part of what there is one of for each prompt, in the order of the prompts."""
    each = len(items) // trainer.world_size
    first = trainer.global_rank * each
    return items[first : first + each]


def gathered(trainer: Trainer, items: list[Any]) -> list[Any]:
    """All processes' parts together; the inverse of `own`. Every process must call it."""
    if trainer.world_size == 1:
        return items
    parts: list[list[Any]] = [[] for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def check_shared(trainer: Trainer, module: "MotionTransfer") -> None:
    """Refuse what several processes cannot fit together.

    Raises:
        DitflowError: on every process alike, before any optimisation.
    """
    processes, data = trainer.world_size, trainer.datamodule
    if processes == 1:
        return
    if module.target == "latents":
        raise DitflowError(
            f"trainer.devices: {processes} processes have nothing to share with target=latents, "
            "where each prompt is fitted by itself; start a fit for each, or use target=positions."
        )
    if module.optimization_steps == 0:
        raise DitflowError(
            f"trainer.devices: {processes} processes have nothing to share with "
            "optimization_steps=0; use --trainer.devices 1."
        )
    if len(data.prompts) % processes:
        raise DitflowError(
            f"trainer.devices: {len(data.prompts)} prompts cannot be shared evenly by {processes} "
            "processes; use as many prompts, or a number that divides them."
        )
    frames, mask, _ = data.read
    seen = hash_of_tensors(frames, *(() if mask is None else (mask,)))
    if len(set(gathered(trainer, [seen]))) > 1:
        raise DitflowError(
            f"video={data.video} or its mask is not the same for all processes; give each the same "
            "file."
        )
