"""The bytes that live tensors hold, and what is computed, followed operation by operation."""

import weakref
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten

CONVOLUTIONS = (aten.convolution.default, aten.mkldnn_convolution.default)

FORMULAS = flop_registry | {
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        aten._scaled_dot_product_flash_attention
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}
"""What an operation computes, by its shapes; torch's own, with the kernel that a CPU takes."""


class LiveMemory(TorchDispatchMode):
    """Context that counts the bytes of every tensor made inside it, until the last use of it ends.

    Works on real tensors and on fake ones, where it tells what real ones would need. What a kernel
    allocates for itself and frees again is not seen, but for convolutions: their libraries copy the
    input into a layout of their own.

    Attributes:
        now: bytes held at the moment.
        peak: bytes held at most.
        computed: operations in numbers, those of matrix products, convolutions and attention.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.computed = 0
        self._held: dict[int, weakref.ref] = {}

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._hold(tensor.untyped_storage(), counted=False)
        made = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.computed += formula(*args, **(kwargs or {}), out_val=made)
        for tensor in _tensors(made):
            self._hold(tensor.untyped_storage(), counted=True)
        if func in CONVOLUTIONS:
            self.peak = max(self.peak, self.now + args[0].nbytes)
        return made

    def _hold(self, storage: torch.UntypedStorage, counted: bool) -> None:
        # The storage's own identity: views share it, and it dies with the last of them. What an
        # operation is given and we have not seen made was there before, such as weights.
        key, size = id(storage), storage.nbytes() if counted else 0
        if key in self._held:
            return

        def release(_: weakref.ref) -> None:
            del self._held[key]
            self.now -= size

        self._held[key] = weakref.ref(storage, release)
        self.now += size
        self.peak = max(self.peak, self.now)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
