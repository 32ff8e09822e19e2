"""Lend the generation the reference's keys and values in a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from lightning import Callback, Trainer

from ditflow.backbones.base import Backbone, KeyValues
from ditflow.denoising import GuidedSampling
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Positions
from ditflow.sampling import Sampler, steps_of


class KVInjection(Callback):
    """At guided steps, a block's image keys and values come from the reference.

    The reference's latents are noised to the step with the run's own initial noise and passed
    with the target prompt, and an image-to-video model with the reference's own first frame,
    through the blocks up to this one. Keys are kept before rotary
    positions, so that optimised positions act on them too; where ρ is part of what is recorded
    (sinusoidal, or in a later block than the first), the recording is renewed whenever ρ changes.
    No gradient flows through it.

    Args:
        enabled: off is the paper's plain guidance.
        block: where keys and values are replaced; 0 is the paper's. A later block brings more of
            the motion, and, over many steps, more of the reference's look.
        share: of the denoising steps, from the first, at which this is done; beyond the guided
            steps it has no effect.

    Raises:
        DitflowError: a share out of its range.
    """

    def __init__(self, enabled: bool = True, block: int = 0, share: float = 1.0):
        if not 0 < share <= 1:
            raise DitflowError(f"kv_injection.share={share} must be above 0 and at most 1.")
        self.enabled, self.block, self.share = enabled, block, share
        self._recorded: WeakKeyDictionary[Sampler, Recorded] = WeakKeyDictionary()

    def check(self, backbone: Backbone) -> None:
        """Raise `DitflowError` for a block that the backbone has not, unless this is off."""
        if self.enabled:
            backbone.check_block(self.block, "kv_injection.block")

    def arguments(self) -> dict[str, bool | int | float]:
        """For a motion embedding's header."""
        return {"enabled": self.enabled, "block": self.block, "share": self.share}

    def setup(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        self.check(module.backbone)
        module.injection = self if self.enabled else None
        self._recorded.clear()

    def teardown(self, trainer: Trainer, module: GuidedSampling, stage: str) -> None:
        module.injection = None
        self._recorded.clear()

    @contextmanager
    def at(
        self, module: GuidedSampling, sampler: Sampler, step: int, positions: Positions
    ) -> Iterator[None]:
        """Context of one pass at a guided step."""
        if step >= steps_of(self.share, len(sampler.timesteps)):
            yield
            return
        with module.backbone.injected(self._key_values(module, sampler, step, positions)):
            yield

    def _key_values(
        self, module: GuidedSampling, sampler: Sampler, step: int, positions: Positions
    ) -> KeyValues:
        positions = tuple(part.detach() for part in positions)
        # What the first block records of rotary tokens does not depend on ρ.
        relevant = () if module.backbone.rotary and self.block == 0 else positions
        recorded = self._recorded.get(sampler)
        if recorded is not None and recorded.holds(step, relevant):
            return recorded.key_values
        latents = module.z_ref.to(sampler.latents.device)
        given = sampler.given(step, sampler.noised(latents, step), positions)
        given = given._replace(condition=module.reference_condition)
        key_values = module.backbone.record_key_values(given, self.block)
        copies = tuple(part.clone() for part in relevant)  # the optimiser changes ρ in place
        self._recorded[sampler] = Recorded(step, copies, key_values)
        return key_values


class Recorded(NamedTuple):
    """Keys and values, and what they were recorded for."""

    step: int
    positions: Positions
    key_values: KeyValues

    def holds(self, step: int, positions: Positions) -> bool:
        return step == self.step and all(map(torch.equal, self.positions, positions))
