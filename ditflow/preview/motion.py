"""A reference's motion as a fit would read it, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ditflow.backbones.base import Backbone
from ditflow.backbones.images import condition_on
from ditflow.functional.flow_loss import moving_patches
from ditflow.functional.motion_flow import Grid
from ditflow.functional.nearest_neighbor import nearest_neighbor_flow
from ditflow.functional.token_mask import over_frames
from ditflow.objectives import Objective
from ditflow.reference import ReferenceVideo, encode, mask_on_tokens, reference_input


@dataclass(frozen=True)
class Motion:
    """Where one signal says that patches go.

    Attributes:
        name: of the signal.
        flow: [F, F, S, 2] hard displacements (column, row) in tokens.
        confidence: [F, F, S] in [0, 1]; None of a signal that gives none.
    """

    name: str
    flow: torch.Tensor
    confidence: torch.Tensor | None = None

    def moving_share(self, mask: torch.Tensor | None = None) -> float:
        """Share of displacements between different frames that are not zero.

        Args:
            mask: [F, S], how much each patch counts; None for all alike.
        """
        counted = _between_frames(self.flow, mask)
        return ((moving_patches(self.flow) * counted).sum() / counted.sum()).item()

    def median_confidence(self, mask: torch.Tensor | None = None) -> float:
        """Of the displacements between different frames, of patches that the mask has part of."""
        assert self.confidence is not None, f"{self.name} gives none"
        return self.confidence[_between_frames(self.flow, mask) > 0].median().item()


@dataclass(frozen=True)
class ReferenceMotion:
    """Everything that a preview shows.

    Attributes:
        reference: frames and mask at the backbone's size.
        grid: (F, H, W).
        shares: [F, T], what share of each frame of tokens stands for each video frame.
        mask: [F, S] on the token grid, or None.
        blocks: of the transformer, in order.
        guided: which of these a fit would read.
        latents: nearest neighbours of plain latents.
    """

    reference: ReferenceVideo
    grid: Grid
    shares: torch.Tensor
    mask: torch.Tensor | None
    blocks: tuple[Motion, ...]
    guided: Motion
    latents: Motion

    def middle(self, frame: int) -> int:
        """The video frame in the middle of those that a frame of tokens stands for."""
        times = torch.arange(self.shares.shape[1], dtype=torch.float32)
        return round((self.shares[frame] @ times).item())

    def frame_at(self, time: int) -> int:
        """The frame of tokens that stands for a video frame."""
        return int(self.shares[:, time].argmax())


@torch.no_grad()
def read_motion(
    backbone: Backbone,
    objective: Objective,
    reference: ReferenceVideo,
    blocks: Sequence[int],
    guided: int,
    cache: bool,
) -> ReferenceMotion:
    """Pass a reference once through the transformer, as a fit does before it optimises.

    Args:
        backbone: the model.
        objective: that has a motion flow of queries and keys.
        reference: at the backbone's size.
        blocks: to read, in order.
        guided: the one of them that a fit would read.
        cache: take the reference's latents from an earlier run, or keep them for a later.
    """
    empty = backbone.encode_prompt("")
    latents = encode(backbone, reference.frames, cache)
    image = reference.frames[0] if backbone.needs_image else None
    condition = condition_on(backbone, image, tuple(latents.shape))
    outputs = backbone.query_keys(reference_input(backbone, latents, empty, condition), blocks)
    read = {}
    for block, output in zip(blocks, outputs, strict=True):
        sure = objective.confidence_of(output)
        sure = None if sure is None else sure.cpu()
        flow = objective.flow(output)
        assert flow is not None, f"{type(objective).__name__} has none, which commands refuse"
        read[block] = Motion(f"block {block}", flow.cpu(), sure)
    grid = outputs[0].grid
    ratio, count = backbone.temporal_ratio, latents.shape[1]
    return ReferenceMotion(
        reference,
        grid,
        over_frames(torch.eye(len(reference.frames)), grid[0], count, ratio),
        mask_on_tokens(backbone, reference.mask, latents),
        tuple(read.values()),
        read[guided],
        Motion("plain latents", nearest_neighbor_flow(latents, grid).cpu()),
    )


def spread_around(block: int, num_blocks: int) -> list[int]:
    """Up to two blocks on either side of one, an eighth of the depth apart: 10 to 30 around 20."""
    step = max(1, num_blocks // 8)
    around = range(block - 2 * step, block + 2 * step + 1, step)
    return [other for other in around if 0 <= other < num_blocks]


def _between_frames(flow: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """How much each entry of [F, F, S] counts where i and j differ."""
    frames, _, patches, _ = flow.shape
    apart = (~torch.eye(frames, dtype=torch.bool))[..., None]
    counted = torch.ones(frames, patches) if mask is None else mask
    return apart * counted[:, None]
