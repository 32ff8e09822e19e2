"""Put a motion embedding into the calls of an ordinary diffusers pipeline."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers import DiffusionPipeline

from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import backbone_of
from ditflow.backbones.pipeline_hooks import PassChange, PipelinePass, replaced_method
from ditflow.embedding.compatibility import check_fingerprint, check_schedule
from ditflow.embedding.stored import StoredMotion
from ditflow.errors import DitflowError

log = logging.getLogger(__name__)


@contextmanager
def applied_to(
    embedding: StoredMotion, pipeline: DiffusionPipeline | Backbone, prompt: str | None = None
) -> Iterator[DiffusionPipeline]:
    """Context in which the pipeline's calls carry the embedding's motion; gives the pipeline.

    Everything is keyed by the timestep, never by a counter, so that every call starts anew.
    """
    backbone, header = backbone_of(pipeline), embedding.header
    check_fingerprint(header, backbone, "pipeline is another one", "model")
    if header.model.get("unguided_stride", 1) != 1 or header.model.get("unguided_cache", 0) != 0:
        log.warning(
            "The fit went faster through its unguided steps (unguided_stride, unguided_cache); the "
            "pipeline's call computes all of them, and its video differs from the fit's in detail."
        )
    latents = _latents(embedding, prompt)
    guided, visited = range(embedding.first_step, header.guided_steps), set[int]()

    def change(made: PipelinePass) -> PassChange:
        if made.first:
            visited.clear()
        check_schedule(header, made.schedule)
        shape = tuple(header.latent_shape)
        if made.latent_shape[1:] != shape[1:]:
            raise DitflowError(
                f"the embedding fits latents {shape[1:]}, this call has {made.latent_shape[1:]}; "
                f"pass num_frames={header.num_frames}, height={header.height}, "
                f"width={header.width}."
            )
        step = header.timesteps.index(made.timestep)
        check_visited(guided[: max(0, step - guided.start)], visited)
        visited.add(step)
        if step not in guided:
            return PassChange()
        if latents is not None:
            return PassChange(None, *latents)
        stock, coordinates = backbone.positions(shape), backbone.coordinates(shape)
        return PassChange(
            embedding.positions_at_step(step, stock, coordinates, backbone.positions_at)
        )

    with backbone.applied(change, embedding.separate_query_key) as applied:
        free = applied.maybe_free_model_hooks

        def end() -> None:
            """Of a call: what every pipeline does last, and one that has failed does not."""
            free()
            if visited:
                check_visited(guided, visited)

        with replaced_method(applied, "maybe_free_model_hooks", end):
            yield applied


def check_visited(guided: Sequence[int], visited: Collection[int]) -> None:
    """Refuse a call that carries less than the embedding's motion.

    Args:
        guided: steps that the motion is put in at, those that are past.
        visited: steps that the call has taken.

    Raises:
        DitflowError: it has left out one.
    """
    missed = [step for step in guided if step not in visited]
    if missed:
        raise DitflowError(
            f"the call left out denoising step {missed[0] + 1}, at which the motion is put in: "
            "call a text-to-video pipeline for all of its steps, or a video-to-video one with "
            "strength=1."
        )


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
