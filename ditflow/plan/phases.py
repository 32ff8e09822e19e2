"""Peak memory of each phase of a fit, from shapes alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, PassInput
from ditflow.backbones.shapes import Component, Shapes
from ditflow.functional.parameterization import (
    Parameterization,
    Target,
    initial_parameter,
    positions_of,
)
from ditflow.objectives import Objective, Prediction
from ditflow.plan.live_memory import LiveMemory

DEPTHS = (2, 3)
"""Blocks at which a pass is followed. Every block after the first needs the same again, so that
two depths tell any depth."""


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        name: what is done.
        component: whose weights it needs.
        working: bytes held at most beyond weights; of weights that come layer by layer those too.
        block: operations of one block, gradients included; 0 where they are not asked for.
    """

    name: str
    component: Component
    working: int
    block: int = 0


@dataclass(frozen=True)
class Work:
    """What is planned for.

    Attributes:
        dtype: of the frozen weights.
        num_frames, height, width: of the video.
        block: guided.
        objective: what is made equal to the reference's.
        target, parameterization, separate_query_key: what is optimised.
        prompts: fitted together.
        guidance: whether classifier-free guidance is on, whose branches run as one batch.
        split_guidance, gradient_checkpointing, vae_tiling: as of `load_backbone`.
        by_layer: whether weights come and go layer by layer, as group offloading does.
    """

    dtype: torch.dtype
    num_frames: int
    height: int
    width: int
    block: int
    objective: Objective
    target: Target = "latents"
    parameterization: Parameterization = "coordinates"
    separate_query_key: bool = True
    prompts: int = 1
    guidance: bool = True
    split_guidance: bool = False
    gradient_checkpointing: bool = False
    vae_tiling: bool = False
    by_layer: bool = False

    @property
    def depths(self) -> tuple[int, int]:
        """Two blocks, one after the other, at which passes are followed."""
        return DEPTHS if self.block > DEPTHS[0] else (max(self.block - 1, 0), self.block)


def phases(shapes: Shapes[Backbone], work: Work) -> list[Phase]:
    """Every phase of a fit in the order of running, with what it needs."""
    with shapes.prompt_encoding(work.dtype, by_layer=work.by_layer) as encode_prompt:
        found = [Phase("encoding prompts", "text encoder", _peak(encode_prompt))]
    faked = shapes.faked(
        DEPTHS[-1] + 1,
        work.dtype,
        split_guidance=work.split_guidance,
        gradient_checkpointing=work.gradient_checkpointing,
        by_layer=work.by_layer,
    )
    with faked as backbone:
        backbone.check_size(work.num_frames, work.height, work.width)
        found.append(Phase("encoding the reference", "VAE", _encode(shapes, backbone, work)))
        if backbone.needs_image:
            found.append(Phase("encoding the image", "VAE", _encode_image(shapes, backbone, work)))
        given = _given(shapes, backbone, work)
        if work.objective.reads == "prediction":
            reading, optimising = _denoise(backbone, work, given), _steer(backbone, work, given)
            found += [
                Phase("reading its prediction", "transformer", reading),
                Phase("optimising", "transformer", optimising),
            ]
        else:
            reading_block = _read_reference(backbone, work, given)
            optimising_block = _optimise(backbone, work, given)
            found += [
                Phase("reading its motion", "transformer", *reading_block),
                Phase(f"optimising, block {work.block}", "transformer", *optimising_block),
            ]
        found += [
            Phase("denoising", "transformer", _denoise(backbone, work, given)),
            Phase("decoding", "VAE", _decode(shapes, backbone, work)),
        ]
    return found


def _given(shapes: Shapes[Backbone], backbone: Backbone, work: Work) -> PassInput:
    """What passes over the whole video are given."""
    shape = backbone.latent_shape(work.num_frames, work.height, work.width)
    prompt, condition = torch.empty(shapes.prompt_shape, dtype=work.dtype), None
    if backbone.needs_image:
        condition = backbone.encode_image(torch.empty(3, work.height, work.width), shape)
    return PassInput(torch.empty(shape), 500, prompt, backbone.positions(shape), condition)


def _encode(shapes: Shapes[Backbone], backbone: Backbone, work: Work) -> int:
    (frames, height, width), rest = _part_of_video(shapes, work, decoding=False)
    return rest + _peak(lambda: backbone.encode_video(torch.empty(frames, 3, height, width)))


def _encode_image(shapes: Shapes[Backbone], backbone: Backbone, work: Work) -> int:
    (frames, height, width), rest = _part_of_video(shapes, work, decoding=False)
    shape = backbone.latent_shape(frames, height, width)
    return rest + _peak(lambda: backbone.encode_image(torch.empty(3, height, width), shape))


def _decode(shapes: Shapes[Backbone], backbone: Backbone, work: Work) -> int:
    size, rest = _part_of_video(shapes, work, decoding=True)
    shape = backbone.latent_shape(*size)
    return rest + _peak(lambda: backbone.decode_video(torch.empty(shape), size[0]))


def _part_of_video(
    shapes: Shapes[Backbone], work: Work, decoding: bool
) -> tuple[tuple[int, int, int], int]:
    """What is enough to follow, and bytes of the pixels that are held beside it."""
    size = work.num_frames, work.height, work.width
    part = shapes.part_of_video(*size, decoding=decoding, tiling=work.vae_tiling)
    return part, (math.prod(size) - math.prod(part)) * 3 * work.dtype.itemsize


def _read_reference(backbone: Backbone, work: Work, given: PassInput) -> tuple[int, int]:
    """The pass at t = 0, without gradients, and the reference motion from it."""
    given, computed = given._replace(timestep=0), []
    for depth in work.depths:
        with torch.no_grad(), LiveMemory() as live:
            outputs = work.objective.read(backbone, given, depth)
            passing = live.peak
        computed.append(live.computed)
    kept = sum(part.nbytes for part in _parts(outputs))
    reading = kept + _peak(lambda: work.objective.reference(outputs.detach()))
    return max(passing, reading), computed[1] - computed[0]


def _denoise(backbone: Backbone, work: Work, given: PassInput) -> int:
    negative = given.prompt if work.guidance else None
    return _peak(lambda: backbone.denoise(given, negative, 6.0))


def _steer(backbone: Backbone, work: Work, given: PassInput) -> int:
    """One Adam step by a prediction of the whole model, which is computed without gradients."""
    with LiveMemory() as live:
        latents = given.latents.expand(work.prompts, -1, -1, -1, -1)
        parameter = torch.nn.Parameter(latents.clone())
        optimizer, own = torch.optim.Adam([parameter]), parameter[:1]
        with torch.no_grad():
            negative = given.prompt if work.guidance else None
            velocity = backbone.denoise(given._replace(latents=own), negative, 6.0)
            read = Prediction(own, velocity, (0.5, -0.5), own - velocity)
            reference = work.objective.reference(read)
        work.objective.loss(read, reference).backward()
        optimizer.step()
    return live.peak


def _optimise(backbone: Backbone, work: Work, given: PassInput) -> tuple[int, int]:
    """One Adam step: both ends of a straight line through two depths."""
    (low_peak, low_held, low, _), (high_peak, high_held, high, outputs) = (
        _optimise_at(backbone, work, given, depth) for depth in work.depths
    )
    more = work.block - work.depths[1]
    peak = high_peak + (high_peak - low_peak) * more
    held = high_held + (high_held - low_held) * more
    return max(peak, held + _loss(work.objective, outputs)), high - low


def _optimise_at(
    backbone: Backbone, work: Work, given: PassInput, block: int
) -> tuple[int, int, int, BlockOutputs | BlockFeatures]:
    """One Adam step guided at a block, the loss apart.

    Returns:
        bytes held at most, bytes held while the loss is computed, operations, what the loss reads.
    """
    shape, stock = tuple(given.latents.shape), given.positions
    coordinates = backbone.coordinates(shape)
    with LiveMemory() as live:
        latents = torch.empty(work.prompts, *shape[1:])
        if work.target == "latents":
            parameter = torch.nn.Parameter(latents.float())
            positions = stock
        else:
            initial = initial_parameter(
                stock, coordinates, work.parameterization, work.separate_query_key
            )
            parameter = torch.nn.Parameter(initial)
            positions = positions_of(parameter, work.parameterization, backbone.positions_at)
        optimizer = torch.optim.Adam([parameter])
        source = parameter if work.target == "latents" else latents
        recorded = backbone.record_key_values(given._replace(latents=latents[:1]))
        with backbone.injected(recorded):
            given = given._replace(latents=source[:1], positions=positions)
            outputs = work.objective.read(backbone, given, block)
        held = live.now
        # Keys that are injected into the guided block itself have no gradient.
        parts = [part for part in _parts(outputs) if part.requires_grad]
        torch.autograd.backward(parts, [torch.empty_like(part) for part in parts])
        optimizer.step()
    return live.peak, held, live.computed, outputs.detach()


def _loss(objective: Objective, outputs: BlockOutputs | BlockFeatures) -> int:
    """Bytes held at most for the loss and its gradient, beyond what it reads."""
    reference, leaf = objective.reference(outputs.detach()), outputs.detach()
    for part in _parts(leaf):
        part.requires_grad_()
    return _peak(lambda: objective.loss(leaf, reference).backward())


def _parts(outputs: BlockOutputs | BlockFeatures) -> list[torch.Tensor]:
    if isinstance(outputs, BlockOutputs):
        return [outputs.query, outputs.key]
    return [outputs.features]


def _peak(work: Callable[[], object]) -> int:
    with LiveMemory() as live:
        work()
    return live.peak
