"""One fit shared by several processes: each has its part of the prompts, ρ is common to all."""

from typing import Any

import torch.distributed
from lightning import Trainer


def local_share(trainer: Trainer, items: list[Any]) -> list[Any]:
    """This process' part of what there is one of for each prompt, in the order of the prompts."""
    each = len(items) // trainer.world_size
    first = trainer.global_rank * each
    return items[first : first + each]


def all_gather(trainer: Trainer, items: list[Any]) -> list[Any]:
    """All processes' parts together; the inverse of `local_share`. Every process must call it."""
    if trainer.world_size == 1:
        return items
    parts: list[list[Any]] = [[] for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(parts, items)
    return [item for part in parts for item in part]
