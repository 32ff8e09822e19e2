"""Lend the generation the reference's keys and values in block 0."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from lightning import Callback, Trainer

from ditflow.backbones.base import Backbone, KeyValues, Positions
from ditflow.errors import DitflowError
from ditflow.module import MotionTransfer
from ditflow.sampling import Sampler


class KVInjection(Callback):
    """At guided steps, block 0's image keys and values come from the reference.

    The reference's latents are noised to the step with the run's own initial noise and passed
    with the target prompt through block 0 alone. Keys are kept before rotary positions, so that
    optimised positions act on them too; a sinusoidal ρ is part of the tokens, so there the
    recording is renewed whenever ρ changes. No gradient flows through it.

    Args:
        enabled: off is the paper's plain guidance.
        block: where keys and values are replaced.
    """

    def __init__(self, enabled: bool = True, block: int = 0):
        self.enabled, self.block = enabled, block
        self._recorded: WeakKeyDictionary[Sampler, tuple[int, KeyValues]] = WeakKeyDictionary()

    def check(self, backbone: Backbone) -> None:
        """Raise `DitflowError` for a block that the backbone has not."""
        last = backbone.num_blocks - 1
        if not 0 <= self.block <= last:
            raise DitflowError(
                f"kv_injection.block={self.block} is out of range: {backbone.name} has blocks "
                f"0 to {last}."
            )

    def arguments(self) -> dict[str, bool | int]:
        """For a motion embedding's header."""
        return {"enabled": self.enabled, "block": self.block}

    def setup(self, trainer: Trainer, module: MotionTransfer, stage: str) -> None:
        self.check(module.backbone)
        module.injection = self if self.enabled else None
        self._recorded.clear()

    def teardown(self, trainer: Trainer, module: MotionTransfer, stage: str) -> None:
        module.injection = None
        self._recorded.clear()

    @contextmanager
    def at(
        self, module: MotionTransfer, sampler: Sampler, step: int, positions: Positions
    ) -> Iterator[None]:
        """Context of one pass at a guided step."""
        with module.backbone.injected(self._key_values(module, sampler, step, positions)):
            yield

    def _key_values(
        self, module: MotionTransfer, sampler: Sampler, step: int, positions: Positions
    ) -> KeyValues:
        recorded_step, key_values = self._recorded.get(sampler, (None, None))
        # What block 0 records of rotary tokens does not depend on ρ.
        if recorded_step == step and module.backbone.rotary and self.block == 0:
            return key_values
        latents = module.reference_latents.to(sampler.latents.device)
        key_values = module.backbone.record_key_values(
            sampler.noised(latents, step),
            sampler.timesteps[step],
            sampler.prompt,
            tuple(part.detach() for part in positions),
            self.block,
        )
        self._recorded[sampler] = step, key_values
        return key_values
