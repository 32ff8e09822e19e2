"""Sampling with motion put in: what fit and predict share, and predict itself."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from lightning import LightningModule

from ditflow.backbones.base import Backbone
from ditflow.backbones.images import condition_on_first
from ditflow.backbones.solver import Schedule
from ditflow.embedding.checks import SAMPLING
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import (
    Parameterization,
    Positions,
    Target,
    initial_parameter,
    positions_of,
)
from ditflow.objectives import Objective
from ditflow.objectives.base import Outputs
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.utils.bars import Bar

log = logging.getLogger(__name__)


class MotionItem(NamedTuple):
    """One optimisation pass: make this prompt's motion at this timestep the reference's."""

    prompt: str
    timestep: torch.Tensor


class SampleItem(NamedTuple):
    """One video to sample."""

    prompt: str
    seed: int


class Injection(Protocol):
    """What the KVInjection callback offers the module."""

    def arguments(self) -> dict[str, bool | int | float]: ...

    def at(
        self, module: "GuidedSampling", sampler: Sampler, step: int, positions: Positions
    ) -> AbstractContextManager[None]: ...


def injection_arguments(injection: Injection | None) -> dict[str, bool | int | float]:
    """What a run's injection is, for records of it; without one, that it is off."""
    return {"enabled": False} if injection is None else injection.arguments()


class GuidedSampling(LightningModule):
    """Sample videos, with changed positions and KV injection at the guided steps.

    Args:
        backbone: frozen model, as `load_backbone` gives it.
        sampler_options: how to sample.
        parameterization: of positions.
        separate_query_key: whether rotary positions have copies of their own for queries and keys.

    Raises:
        DitflowError: more steps than the backbone's schedule has.
    """

    def __init__(
        self,
        backbone: Backbone,
        sampler_options: SamplerOptions,
        parameterization: Parameterization,
        separate_query_key: bool,
    ):
        super().__init__()
        most = backbone.num_train_timesteps
        if sampler_options.num_steps > most:
            raise DitflowError(
                f"num_inference_steps={sampler_options.num_steps} is more than the {most} that "
                f"{backbone.name} was trained with; use at most as many."
            )
        # In a list: the frozen backbone is no submodule, and is neither moved nor saved with us.
        self._backbone = [backbone]
        self.sampler_options = sampler_options
        self.parameterization, self.separate_query_key = parameterization, separate_query_key
        self.progress = True
        """Whether the steps show progress bars of their own."""
        self.follow: Callable[[str, int, int], None] | None = None
        """Told each phase of the sampling, how many of its steps are done, and of how many."""
        self._prompts: dict[str, torch.Tensor] = {}
        self.injection: Injection | None = None
        self.reference_latents: torch.Tensor | None = None
        self.image: torch.Tensor | None = None
        """[3, height, width] in [0, 1], that the videos begin with; None of text alone."""
        self.reference_condition: Any = None
        """With an image, what the reference's passes are given in its place: the reference's own
        first frame, as `Backbone.encode_image` gives it."""
        self.embedding: MotionEmbedding | None = None

    @property
    def backbone(self) -> Backbone:
        return self._backbone[0]

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    def sampling_arguments(self) -> dict[str, Any]:
        """What decides how this run samples, as arguments of `MotionTransfer`, for records of it;
        the backbone apart."""
        options = self.sampler_options
        given = {**vars(self), **vars(options), "num_inference_steps": options.num_steps}
        return {name: given[name] for name in SAMPLING}

    @property
    def z_ref(self) -> torch.Tensor:
        """The reference's latents [1, F, C, h, w], once they are there."""
        assert self.reference_latents is not None
        return self.reference_latents

    @property
    def grid(self) -> Grid:
        """The reference's (F, H, W) in tokens, once it is there."""
        return self.backbone.token_grid(tuple(self.z_ref.shape))

    def encode_prompts(self, prompts: Iterable[str]) -> None:
        """Encode each prompt of a run once, the empty and the negative one too, before all else:
        under offloading the text encoder comes once, and is gone before another part comes."""
        self.backbone.release()
        wanted = dict.fromkeys(["", self.sampler_options.negative_prompt, *prompts])
        self._prompts = {prompt: self.backbone.encode_prompt(prompt) for prompt in wanted}
        self.backbone.release()

    def encoded(self, prompt: str) -> torch.Tensor:
        """A prompt as `Backbone.encode_prompt` gives it, from what is kept of the run."""
        kept = self._prompts.get(prompt)
        return self.backbone.encode_prompt(prompt) if kept is None else kept

    def sampler(self, prompt: str, seed: int, latent_shape: tuple[int, ...]) -> Sampler:
        options, image = self.sampler_options, self.image
        return Sampler(self.backbone, options, prompt, seed, latent_shape, self.encoded, image)

    def schedule(self) -> Schedule:
        """The solver's, with the timesteps of all denoising steps, from noise to video."""
        return self.backbone.solver(self.sampler_options.num_steps).schedule

    def initial_positions(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        """The parameter that stands for the stock ρ."""
        return initial_parameter(
            self.backbone.positions(latent_shape),
            self.backbone.coordinates(latent_shape),
            self.parameterization,
            self.separate_query_key,
        )

    def positions_of(self, parameter: torch.Tensor) -> Positions:
        return positions_of(parameter, self.parameterization, self.backbone.positions_at)

    def injected(
        self, sampler: Sampler, step: int, positions: Positions
    ) -> AbstractContextManager[None]:
        """KV injection's context at a guided step, if that callback is there."""
        if self.injection is None or self.reference_latents is None:
            return nullcontext()
        return self.injection.at(self, sampler, step, positions)

    def denoise_guided(self, sampler: Sampler, step: int, positions: Positions) -> None:
        """The ordinary step after optimising (line 25), with ρ_t and KV injection."""
        positions = tuple(part.detach() for part in positions)
        with self.injected(sampler, step, positions):
            prediction = sampler.predict(step, positions)
        sampler.advance(step, prediction)

    def denoise_rest(self, sampler: Sampler, first: int) -> torch.Tensor:
        """The unguided steps, with the stock ρ; returns z_0."""
        positions = self.backbone.positions(tuple(sampler.latents.shape))
        steps = list(self.sampler_options.unguided(first))
        with self.backbone.block_cache(self.sampler_options.unguided_cache):
            bar = Bar(steps, desc="Denoising", disable=not (steps and self.progress))
            for done, (step, jump) in enumerate(bar):
                self._tell("denoising", done, len(steps))
                sampler.advance(step, sampler.predict(step, positions), jump)
        return self.backbone.finished(sampler.latents, sampler.condition)

    def decode(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        self._tell("decoding", 0, 1)
        with Bar(total=1, desc="Decoding", disable=not self.progress) as bar:
            video = self.backbone.decode_video(latents, num_frames)
            self.backbone.release()
            bar.update()
        if not torch.isfinite(video).all():
            raise DitflowError(
                "the decoded video is not finite, though its latents are; use --dtype bfloat16 or "
                "--dtype float32."
            )
        return video

    def _tell(self, phase: str, done: int, total: int) -> None:
        if self.follow is not None:
            self.follow(phase, done, total)

    # -- what a fit adds (`ditflow.module.MotionTransfer`), and callbacks use ----------------------

    objective: Objective
    target: Target
    block: int
    seed: int
    guided_steps: int
    optimization_steps: int
    gradient_reuse: int
    rates: tuple[float, float]
    samplers: list[Sampler]
    """One video being denoised for each prompt of this process."""
    parameter: torch.nn.Parameter
    """z_t of every prompt, or what stands for ρ_t."""
    initial: torch.Tensor
    """The parameter as the fit began."""
    finished: list[torch.Tensor]
    """The optimised tensor of every finished guided step; of latents only the last is kept."""
    previous_predictions: torch.Tensor | None
    """The samplers' memories before the last guided step."""
    videos: list[torch.Tensor]
    """What a fit made, one video a prompt of this process."""
    reference_motion: torch.Tensor | None
    reference_flow: torch.Tensor | None
    """For pictures, of an objective that has one."""
    reference_weight: torch.Tensor | None
    """How much each entry of the reference's motion counts; None where all count alike."""
    last_outputs: Outputs | None

    @property
    def gradients(self) -> int:
        """How many gradients a guided step computes for each prompt."""
        return math.ceil(self.optimization_steps / self.gradient_reuse)

    def encode_reference(
        self,
        frames: torch.Tensor,
        cache: bool = False,
        mask: torch.Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Frames [T, 3, height, width] to the reference motion (Algorithm 1, lines 1 to 8)."""
        raise NotImplementedError

    def current_positions(self) -> Positions:
        """ρ_t of the guided step being optimised."""
        raise NotImplementedError

    def keep(self, optimised: torch.Tensor) -> None:
        """Remember a finished guided step's tensor."""
        raise NotImplementedError

    def finish(self) -> list[torch.Tensor]:
        """The fit's videos, after its last guided step."""
        raise NotImplementedError

    # -- predict ---------------------------------------------------------------------------------

    def on_predict_start(self) -> None:
        # Lightning sets it, undeclared.
        self.embedding = self.trainer.datamodule.loaded_motion  # type: ignore[attr-defined]
        self.reference_latents = self.embedding.tensors.get("reference_latents")
        if self.injection is not None and self.reference_latents is None:
            log.info(
                "The embedding carries no reference latents (left out when it was fitted or "
                "published): predicting with no KV injection, so that less of the motion is kept."
            )
        elif self.injection is not None and self.image is not None:
            self.reference_condition = condition_on_first(self.backbone, self.z_ref)

    @torch.no_grad()
    def predict_step(self, item: SampleItem, batch_idx: int) -> torch.Tensor:
        """A video [T, 3, height, width] with the embedding's motion, no optimisation."""
        embedding = self.embedding
        assert embedding is not None
        header = embedding.header
        sampler = self.sampler(item.prompt, item.seed, header.latent_shape)
        stock = self.backbone.positions(header.latent_shape)
        steps = range(header.guided_steps)
        for step in Bar(steps, desc="Guided steps", disable=not self.progress):
            self._tell("guided steps", step, len(steps))
            if step < embedding.first_step:
                # Overwritten below, but the noise of a stochastic solver must be drawn.
                sampler.advance(step, torch.zeros_like(sampler.latents, dtype=torch.float32))
                continue
            positions = stock
            if header.target == "latents":
                sampler.restart(*embedding.latents_for(item.prompt))
            else:
                positions = embedding.positions_at_step(
                    step,
                    stock,
                    self.backbone.coordinates(header.latent_shape),
                    self.backbone.positions_at,
                )
            self.denoise_guided(sampler, step, positions)
        latents = self.denoise_rest(sampler, header.guided_steps)
        return self.decode(latents, header.num_frames)
