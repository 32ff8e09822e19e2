"""Which transformer block sees motion: each block's flow of drawn clips against the truth.

python -m ditflow.sprites.blocks --backbone sprites-rope
"""

import torch
from jsonargparse import auto_cli

from ditflow.backbones.base import PassInput
from ditflow.backbones.loading import load_backbone
from ditflow.functional.motion_flow import Grid, motion_flow
from ditflow.sprites.recipe.evaluate import cases
from ditflow.sprites.render import render
from ditflow.sprites.world import Clip

FIRST_SEED = 500_001
"""Of the clips that blocks and rates are chosen on; the held-out ones have others."""


def blocks(
    backbone: str = "sprites-rope",
    clips: int = 10,
    temperature: float = 2.0,
    first_seed: int = FIRST_SEED,
) -> None:
    """Print, of each block, how well its hard motion flow at t = 0 finds the sprite's motion.

    Args:
        backbone: which one.
        clips: how many drawn references that move.
        temperature: τ of the attention.
        first_seed: of the references.
    """
    loaded = load_backbone(backbone)
    prompt = loaded.encode_prompt("")
    print("block  error  of true motion  background's share of moving patches")
    references = [case.clip for case in cases(clips, first_seed)]
    latents = [loaded.encode_video(render([clip])[0]) for clip in references]
    for block in range(loaded.num_blocks):
        rows = []
        for clip, latent in zip(references, latents, strict=True):
            with torch.no_grad():
                given = PassInput(latent, 0, prompt, loaded.positions(tuple(latent.shape)))
                outputs = loaded.query_key(given, block)
            flow = motion_flow(
                outputs.query, outputs.key, outputs.grid, temperature=temperature, hard=True
            )
            rows.append(flow_error(flow, clip, outputs.grid))
        error, motion, background = torch.tensor(rows).nanmean(0).tolist()
        print(f"{block:5d}  {error:5.2f}  {motion:14.2f}  {background:10.2f}")


def flow_error(flow: torch.Tensor, clip: Clip, grid: Grid) -> tuple[float, float, float]:
    """A flow [F, F, S, 2] of a drawn clip against the truth.

    Returns:
        the mean endpoint error, in tokens, of patches well inside the sprite between frames in
        which it moved; their mean true motion; and the background's share of all patches that
        the flow says move.
    """
    frames, height, width = grid
    path = torch.tensor(clip.path)
    # The first latent frame stands for one frame, each other for an even share of the rest.
    centres = torch.cat([path[:1], path[1:].unflatten(0, (frames - 1, -1)).mean(1)])
    scale = torch.tensor([width, height])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    patches = torch.stack([columns, rows], dim=-1).flatten(0, 1) + 0.5  # [S, 2]
    away = (patches / scale - centres[:, None]).norm(dim=-1) / clip.radius  # [F, S], in radii
    truth = ((centres[None] - centres[:, None]) * scale)[:, :, None].expand_as(flow)
    motion, error = truth.norm(dim=-1), (flow - truth).norm(dim=-1)
    inside = (away < 0.75)[:, None] & (motion > 0.75)
    outside = (away > 1.4)[:, None] & (away > 1.4)[None, :]
    moving = flow.abs().amax(-1) > 0
    share = (moving & outside).sum() / moving.sum()
    return error[inside].mean().item(), motion[inside].mean().item(), share.item()


def main() -> None:
    """The command line."""
    auto_cli(blocks)
