"""Put a motion embedding into the calls of an ordinary diffusers pipeline."""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline

from ditflow.backbones.cogvideox.adapter import fingerprint
from ditflow.backbones.cogvideox.attention import install
from ditflow.backbones.cogvideox.positions import (
    added_positions,
    positions_at,
    stock_coordinates,
    stock_positions,
)
from ditflow.backbones.cogvideox.solver import schedule_of
from ditflow.embedding.compatibility import check_schedule
from ditflow.embedding.stored import StoredMotion
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Positions

log = logging.getLogger(__name__)


@contextmanager
def applied_to(
    embedding: StoredMotion, pipeline: CogVideoXPipeline, prompt: str | None = None
) -> Iterator[None]:
    """Context in which the pipeline's calls carry the embedding's motion.

    Everything is keyed by the timestep, never by a counter, so that every call starts anew.
    """
    if embedding.header.fingerprint != fingerprint(pipeline):
        raise DitflowError(
            f"the embedding was fitted on {embedding.header.backbone} "
            f"({embedding.header.fingerprint}), but the pipeline is another one "
            f"({fingerprint(pipeline)}); use the fitted model, or fit again."
        )
    model = embedding.header.model
    if model.get("unguided_stride", 1) != 1 or model.get("unguided_cache", 0) != 0:
        log.warning(
            "The fit went faster through its unguided steps (unguided_stride, unguided_cache); the "
            "pipeline's call computes all of them, and its video differs from the fit's in detail."
        )
    transformer, scheduler = pipeline.transformer, pipeline.scheduler
    own_step = scheduler.__dict__.get("step")
    own_processors = [block.attn1.processor for block in transformer.transformer_blocks]
    if embedding.separate_query_key:
        install(transformer)  # tables of their own for queries and keys need our attention
    applied = _Applied(embedding, pipeline, scheduler.step, _latents(embedding, prompt))
    # Hooks, and not another `forward`: offloading puts its own there, and takes ours away with it.
    handles = [
        transformer.register_forward_pre_hook(applied.before_forward, with_kwargs=True),
        transformer.register_forward_hook(applied.after_forward, always_call=True),
    ]
    try:
        # Wrapped, for the pipeline looks at the signature to see whether to pass its generator.
        scheduler.step = _like(scheduler.step, applied.step)
        yield
    finally:
        for handle in handles:
            handle.remove()
        if own_step is None:
            scheduler.__dict__.pop("step", None)
        else:
            scheduler.step = own_step
        for block, processor in zip(transformer.transformer_blocks, own_processors, strict=True):
            block.attn1.processor = processor


def _latents(
    embedding: StoredMotion, prompt: str | None
) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """z_t and the sampler's memory to start from: of a fit with several prompts, that one's."""
    prompts = embedding.header.prompts
    if prompt is not None and prompt not in prompts:
        raise DitflowError(
            f"prompt={prompt!r} is none of the fit's, which are {', '.join(map(repr, prompts))}."
        )
    if embedding.header.target != "latents":
        return None
    if prompt is None and len(prompts) > 1:
        raise DitflowError(
            f"the embedding holds the latents of {len(prompts)} prompts; say whose to start from: "
            f"applied_to(pipe, prompt={prompts[0]!r})."
        )
    return embedding.latents_for(prompt)


def _like(own: Callable, method: Callable) -> Callable:
    """`method` with the signature of `own` (a bound method takes no attributes itself)."""
    return functools.wraps(own)(functools.partial(method))


class _Applied:
    """The pipeline's transformer and scheduler with the motion put in."""

    def __init__(
        self,
        embedding: StoredMotion,
        pipeline: CogVideoXPipeline,
        step: Callable,
        latents: tuple[torch.Tensor, torch.Tensor | None] | None,
    ):
        self.embedding, self.pipeline = embedding, pipeline
        self.scheduler, self.own_step = pipeline.scheduler, step
        self.latents = latents
        self.entered = ExitStack()

    def before_forward(self, module: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The transformer's arguments with the motion put in."""
        hidden_states = args[0] if args else kwargs["hidden_states"]
        self._check_call(tuple(hidden_states.shape))
        guided = self._guided_step(int(kwargs["timestep"].flatten()[0]))
        if guided is None:
            return None
        if self.embedding.header.target == "positions":
            positions = self._positions(guided, hidden_states.device)
            if len(positions) == 1:
                shape = self.embedding.header.latent_shape
                self.entered.enter_context(added_positions(module, positions[0], shape))
                return None
            return args, kwargs | {"image_rotary_emb": positions}
        if guided == self.embedding.first_step:
            latents = self.latents[0].to(hidden_states).expand_as(hidden_states)
            if args:
                return (latents, *args[1:]), kwargs
            return args, kwargs | {"hidden_states": latents}
        return None

    def after_forward(self, module: torch.nn.Module, args: tuple, output: Any) -> None:
        self.entered.close()

    def step(self, model_output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's step; at the saved z_t's timestep, from that z_t on."""
        stochastic = isinstance(self.scheduler, CogVideoXDPMScheduler)
        values = list(args)
        # (old prediction, timestep, timestep back, sample) or (timestep, sample).
        timestep = int(values[1] if stochastic else values[0])
        if self.latents and self._guided_step(timestep) == self.embedding.first_step:
            latents, previous = self.latents
            sample = 3 if stochastic else 1
            values[sample] = latents.to(values[sample]).expand_as(values[sample])
            if stochastic and previous is not None:
                values[0] = previous.to(model_output).expand_as(model_output)
        return self.own_step(model_output, *values, **kwargs)

    def _guided_step(self, timestep: int) -> int | None:
        step = self.embedding.header.timesteps.index(timestep)
        return step if step < self.embedding.header.guided_steps else None

    def _positions(self, step: int, device: torch.device) -> Positions:
        transformer, shape = self.pipeline.transformer, self.embedding.header.latent_shape
        return self.embedding.positions_at_step(
            step,
            stock_positions(transformer, shape, device),
            stock_coordinates(transformer, shape, device),
            lambda coordinates: positions_at(transformer, coordinates),
        )

    def _check_call(self, shape: tuple[int, ...]) -> None:
        header = self.embedding.header
        if self.pipeline.scheduler is not self.scheduler:
            raise DitflowError(
                "the pipeline's scheduler was exchanged inside applied_to; exchange it before."
            )
        check_schedule(header, schedule_of(self.scheduler))
        if shape[1:] != tuple(header.latent_shape[1:]):
            raise DitflowError(
                f"the embedding fits latents {tuple(header.latent_shape[1:])}, this call has "
                f"{shape[1:]}; pass num_frames={header.num_frames}, height={header.height}, "
                f"width={header.width}."
            )
