"""Put a motion embedding into the calls of an ordinary diffusers pipeline."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline

from ditflow.backbones.attention import install
from ditflow.backbones.base import Positions
from ditflow.backbones.cogvideox import fingerprint
from ditflow.backbones.positions import (
    added_positions,
    positions_at,
    stock_coordinates,
    stock_positions,
)
from ditflow.embedding import MotionEmbedding
from ditflow.errors import DitflowError
from ditflow.targets import initial_parameter, positions_of


@contextmanager
def applied_to(embedding: MotionEmbedding, pipeline: CogVideoXPipeline) -> Iterator[None]:
    """Context in which the pipeline's calls carry the embedding's motion.

    Everything is keyed by the timestep, never by a counter, so that every call starts anew.
    """
    if embedding.header.fingerprint != fingerprint(pipeline):
        raise DitflowError(
            f"the embedding was fitted on {embedding.header.backbone} "
            f"({embedding.header.fingerprint}), but the pipeline is another one "
            f"({fingerprint(pipeline)}); use the fitted model, or fit again."
        )
    transformer, scheduler = pipeline.transformer, pipeline.scheduler
    own_forward = transformer.__dict__.get("forward")
    own_step = scheduler.__dict__.get("step")
    own_processors = [block.attn1.processor for block in transformer.transformer_blocks]
    if "positions" in embedding.tensors and embedding.tensors["positions"].shape[1] == 4:
        install(transformer)  # separate query and key tables need our attention
    applied = _Applied(embedding, pipeline, transformer.forward, scheduler.step)
    try:
        # Wrapped, for the pipeline looks at the signature to see whether to pass its generator.
        transformer.forward = _like(transformer.forward, applied.forward)
        scheduler.step = _like(scheduler.step, applied.step)
        yield
    finally:
        _restore(transformer, "forward", own_forward)
        _restore(scheduler, "step", own_step)
        for block, processor in zip(transformer.transformer_blocks, own_processors, strict=True):
            block.attn1.processor = processor


def _like(own: Callable, method: Callable) -> Callable:
    """`method` with the signature of `own` (a bound method takes no attributes itself)."""
    return functools.wraps(own)(functools.partial(method))


def _restore(owner: Any, name: str, own: Any) -> None:
    if own is None:
        owner.__dict__.pop(name, None)
    else:
        setattr(owner, name, own)


class _Applied:
    """The pipeline's transformer and scheduler with the motion put in."""

    def __init__(self, embedding: MotionEmbedding, pipeline: CogVideoXPipeline, forward, step):
        self.embedding, self.pipeline = embedding, pipeline
        self.scheduler = pipeline.scheduler
        self.own_forward, self.own_step = forward, step

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self._check_call(tuple(hidden_states.shape))
        timestep = int(kwargs["timestep"].flatten()[0])
        guided = self._guided_step(timestep)
        with ExitStack() as stack:
            if guided is not None and self.embedding.header.target == "positions":
                positions = self._positions(guided, hidden_states.device)
                if len(positions) == 1:
                    shape = self.embedding.header.latent_shape
                    stack.enter_context(
                        added_positions(self.pipeline.transformer, positions[0], shape)
                    )
                else:
                    kwargs["image_rotary_emb"] = positions
            elif guided is not None and guided == self.embedding.first_step:
                latents, _ = self.embedding.latents_for(None)
                hidden_states = latents.to(hidden_states).expand_as(hidden_states)
            return self.own_forward(hidden_states, *args, **kwargs)

    def step(self, model_output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's step; at the saved z_t's timestep, from that z_t on."""
        stochastic = isinstance(self.scheduler, CogVideoXDPMScheduler)
        values = list(args)
        # (old prediction, timestep, timestep back, sample) or (timestep, sample).
        timestep = int(values[1] if stochastic else values[0])
        target = self.embedding.header.target
        if target == "latents" and self._guided_step(timestep) == self.embedding.first_step:
            latents, previous = self.embedding.latents_for(None)
            sample = 3 if stochastic else 1
            values[sample] = latents.to(values[sample]).expand_as(values[sample])
            if stochastic and previous is not None:
                values[0] = previous.to(model_output).expand_as(model_output)
        return self.own_step(model_output, *values, **kwargs)

    def _guided_step(self, timestep: int) -> int | None:
        step = self.embedding.header.timesteps.index(timestep)
        return step if step < self.embedding.header.guided_steps else None

    def _positions(self, step: int, device: torch.device) -> Positions:
        transformer, header = self.pipeline.transformer, self.embedding.header
        stored = self.embedding.tensors["positions"]
        initial = initial_parameter(
            stock_positions(transformer, header.latent_shape, device),
            stock_coordinates(transformer, header.latent_shape, device),
            header.parameterization,
            separate_query_key=stored.shape[1] == 4,
        )
        return positions_of(
            initial + stored[step].to(initial),
            header.parameterization,
            lambda coordinates: positions_at(transformer, coordinates),
        )

    def _check_call(self, shape: tuple[int, ...]) -> None:
        header = self.embedding.header
        if self.pipeline.scheduler is not self.scheduler:
            raise DitflowError(
                "the pipeline's scheduler was exchanged inside applied_to; exchange it before."
            )
        name = type(self.scheduler).__name__
        timesteps = tuple(self.scheduler.timesteps.tolist())
        if (name, timesteps) != (header.scheduler, tuple(header.timesteps)):
            raise DitflowError(
                f"the embedding fits {len(header.timesteps)} steps of {header.scheduler}, this "
                f"call makes {len(timesteps)} of {name}; pass "
                f"num_inference_steps={len(header.timesteps)} and use that scheduler."
            )
        if shape[1:] != tuple(header.latent_shape[1:]):
            raise DitflowError(
                f"the embedding fits latents {tuple(header.latent_shape[1:])}, this call has "
                f"{shape[1:]}; pass num_frames={header.num_frames}, height={header.height}, "
                f"width={header.width}."
            )
