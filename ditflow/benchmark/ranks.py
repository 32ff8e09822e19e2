"""Ranks of torchrun, which stops all of them as soon as one fails: they leave together."""

import os
import time
from dataclasses import dataclass

from torch.distributed import PrefixStore, Store, rendezvous

INTERVAL = 0.2
"""Seconds between two looks at what the other ranks have done."""


@dataclass(frozen=True)
class Ranks:
    """What the ranks of one launch tell one another.

    Attributes:
        store: common to all of them.
        rank, size: which this is, from 0, and of how many.
        local_rank: which it is on this machine.
    """

    store: Store
    rank: int
    size: int
    local_rank: int

    @classmethod
    def of_torchrun(cls) -> "Ranks":
        """As torchrun started this process, with the store of its own agent."""
        store, rank, size = next(rendezvous("env://"))
        # A restart begins to count anew.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        local_rank = int(os.environ["LOCAL_RANK"])
        return cls(PrefixStore(f"ditflow/{attempt}", store), rank, size, local_rank)

    def meet(self, name: str, value: int = 0) -> int:
        """Wait for all ranks, however long they take; the sum of their values.

        Args:
            name: of the meeting, each once.
            value: of this rank.
        """
        # Counted by hand: a barrier would have a limit of time, and not end at a signal.
        self.store.add(f"{name}/sum", value)
        self.store.add(f"{name}/there", 1)
        while self.store.add(f"{name}/there", 0) < self.size:
            time.sleep(INTERVAL)
        return self.store.add(f"{name}/sum", 0)
