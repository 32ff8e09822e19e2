"""Peak memory of each phase of a fit, from shapes alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, PassInput
from ditflow.functional.parameterization import (
    Parameterization,
    Target,
    initial_parameter,
    positions_of,
)
from ditflow.objectives import Objective
from ditflow.plan.live_memory import LiveMemory
from ditflow.plan.shapes import Configs, fake, faked_backbone

Component = Literal["text encoder", "VAE", "transformer"]

DEPTHS = (2, 3)
"""Blocks at which a pass is followed. Every block after the first needs the same again, so that
two depths tell any depth."""


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        name: what is done.
        component: whose weights it needs.
        working: bytes held at most beyond weights.
    """

    name: str
    component: Component
    working: int


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
        split_guidance: whether these branches run one after the other.
        checkpointing: gradient checkpointing.
        tiling: of the VAE.
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
    checkpointing: bool = False
    tiling: bool = False


def phases(configs: Configs, work: Work) -> list[Phase]:
    """Every phase of a fit in the order of running, with what it needs."""
    transformer = configs.build_transformer(DEPTHS[-1] + 1)
    found = [Phase("encoding prompts", "text encoder", _encode_prompt(configs, work))]
    with faked_backbone(transformer, configs.build_vae(), work.dtype) as backbone:
        backbone.check_size(work.num_frames, work.height, work.width)
        backbone.options["split_guidance"] = work.split_guidance
        if work.checkpointing:
            backbone.transformer.enable_gradient_checkpointing()
        found += [
            Phase("encoding the reference", "VAE", _encode(backbone, work)),
            Phase("reading its motion", "transformer", _read_reference(backbone, work)),
            Phase(f"optimising, block {work.block}", "transformer", _optimise(backbone, work)),
            Phase("denoising", "transformer", _denoise(backbone, work)),
            Phase("decoding", "VAE", _decode(backbone, work)),
        ]
    return found


def _encode_prompt(configs: Configs, work: Work) -> int:
    text_encoder = configs.build_text_encoder()
    length = configs.transformer.get("max_text_seq_length", 226)
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake(text_encoder, work.dtype)
        return _peak(lambda: text_encoder(torch.zeros(1, length, dtype=torch.long)))


def _encode(backbone: Backbone, work: Work) -> int:
    batch = backbone.pipeline.vae.num_sample_frames_batch_size
    frames, rest, height, width = _part_of_video(backbone, work, batch)
    return rest + _peak(lambda: backbone.encode_video(torch.empty(frames, 3, height, width)))


def _decode(backbone: Backbone, work: Work) -> int:
    batch = backbone.pipeline.vae.num_latent_frames_batch_size * backbone.temporal_ratio
    frames, rest, height, width = _part_of_video(backbone, work, batch)
    shape = backbone.latent_shape(frames, height, width)
    return rest + _peak(lambda: backbone.decode_video(torch.empty(shape), frames))


def _part_of_video(backbone: Backbone, work: Work, batch: int) -> tuple[int, int, int, int]:
    """The VAE works on a batch of frames and a tile at a time: what is enough to follow.

    Returns:
        frames (two batches, the first of which takes what the others leave), bytes of the frames
        that are held beside them, height, width.
    """
    frames = min(work.num_frames, 2 * batch + work.num_frames % batch)
    vae, height, width = backbone.pipeline.vae, work.height, work.width
    if work.tiling:
        height = min(height, vae.tile_sample_min_height)
        width = min(width, vae.tile_sample_min_width)
    rest = work.num_frames * work.height * work.width - frames * height * width
    return frames, rest * 3 * work.dtype.itemsize, height, width


def _read_reference(backbone: Backbone, work: Work) -> int:
    """The pass at t = 0, without gradients, and the reference motion from it."""
    latents, prompt = _latents(backbone, work), _prompt(backbone, work)
    positions = backbone.positions(latents.shape)
    read = getattr(backbone, work.objective.reads)
    with torch.no_grad(), LiveMemory() as live:
        given = PassInput(latents, 0, prompt, positions)
        outputs = read(given, min(work.block, DEPTHS[0]))
        passing = live.peak
    kept = sum(part.nbytes for part in _parts(outputs))
    return max(passing, kept + _peak(lambda: work.objective.reference(outputs.detach())))


def _denoise(backbone: Backbone, work: Work) -> int:
    latents, prompt = _latents(backbone, work), _prompt(backbone, work)
    negative = prompt if work.guidance else None
    positions = backbone.positions(latents.shape)
    given = PassInput(latents, 500, prompt, positions)
    return _peak(lambda: backbone.denoise(given, negative, 6.0))


def _optimise(backbone: Backbone, work: Work) -> int:
    """One Adam step: both ends of a straight line through two depths."""
    depths = DEPTHS if work.block > DEPTHS[0] else (work.block, work.block)
    (low_peak, low_held, outputs), (high_peak, high_held, _) = (
        _optimise_at(backbone, work, depth) for depth in depths
    )
    more = work.block - depths[1]
    peak = high_peak + (high_peak - low_peak) * more
    held = high_held + (high_held - low_held) * more
    return max(peak, held + _loss(work.objective, outputs))


def _optimise_at(
    backbone: Backbone, work: Work, block: int
) -> tuple[int, int, BlockOutputs | BlockFeatures]:
    """One Adam step guided at a block, the loss apart.

    Returns:
        bytes held at most, bytes held while the loss is computed, what the loss reads.
    """
    shape = backbone.latent_shape(work.num_frames, work.height, work.width)
    prompt = _prompt(backbone, work)
    stock, coordinates = backbone.positions(shape), backbone.coordinates(shape)
    read = getattr(backbone, work.objective.reads)
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
        recorded = backbone.record_key_values(PassInput(latents[:1], 500, prompt, stock))
        with backbone.injected(recorded):
            outputs = read(PassInput(source[:1], 500, prompt, positions), block)
        held, parts = live.now, _parts(outputs)
        torch.autograd.backward(parts, [torch.empty_like(part) for part in parts])
        optimizer.step()
    return live.peak, held, outputs.detach()


def _loss(objective: Objective, outputs: BlockOutputs | BlockFeatures) -> int:
    """Bytes held at most for the loss and its gradient, beyond what it reads."""
    reference, leaf = objective.reference(outputs.detach()), outputs.detach()
    for part in _parts(leaf):
        part.requires_grad_()
    return _peak(lambda: objective.loss(leaf, reference).backward())


def _parts(outputs) -> list[torch.Tensor]:
    if isinstance(outputs, BlockOutputs):
        return [outputs.query, outputs.key]
    return [outputs.features]


def _latents(backbone: Backbone, work: Work) -> torch.Tensor:
    return torch.empty(backbone.latent_shape(work.num_frames, work.height, work.width))


def _prompt(backbone: Backbone, work: Work) -> torch.Tensor:
    config = backbone.transformer.config
    return torch.empty(1, config.max_text_seq_length, config.text_embed_dim, dtype=work.dtype)


def _peak(work: Callable[[], object]) -> int:
    with LiveMemory() as live:
        work()
    return live.peak
