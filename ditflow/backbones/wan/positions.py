"""Put rotary tables into a Wan transformer, which makes its own and passes it to every block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import WanTransformer3DModel

from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions
from ditflow.functional.positional_tables import rotary_table


def token_grid(transformer: WanTransformer3DModel, latent_shape: tuple[int, ...]) -> Grid:
    """(F, H, W) of latents [B, F', C, h, w]."""
    _, frames, _, height, width = latent_shape
    patch_t, patch_h, patch_w = transformer.config.patch_size
    return frames // patch_t, height // patch_h, width // patch_w


def stock_positions(
    transformer: WanTransformer3DModel, latent_shape: tuple[int, ...], device: torch.device
) -> Positions:
    """(cos, sin), each [N, D], as the transformer makes them."""
    batch, frames, channels, height, width = latent_shape
    shape = batch, channels, frames, height, width
    # It reads the shape alone; group offloading puts its argument on the device.
    table = transformer.rope(torch.empty(()).expand(shape))
    return tuple(part[0, :, 0].to(device) for part in table)


def stock_coordinates(
    transformer: WanTransformer3DModel, latent_shape: tuple[int, ...], device: torch.device
) -> torch.Tensor:
    """[N, 3] (frame, row, column) of every token."""
    axes = [torch.arange(length).float() for length in token_grid(transformer, latent_shape)]
    mesh = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(mesh, dim=-1).flatten(0, 2).to(device)


def positions_at(transformer: WanTransformer3DModel, coordinates: torch.Tensor) -> Positions:
    """ρ of tokens at any coordinates [N, 3], differentiable."""
    rope = transformer.rope
    shares = rope.t_dim, rope.h_dim, rope.w_dim
    # In double precision, as the stock table is made, but for Apple's GPUs, which have none.
    exact = coordinates if coordinates.device.type == "mps" else coordinates.double()
    return tuple(part.float() for part in rotary_table(exact, sum(shares), shares=shares))


@contextmanager
def rotated_by(transformer: WanTransformer3DModel, positions: Positions) -> Iterator[None]:
    """Make a transformer pass ρ, in the form of its own table [1, N, 1, D], to its blocks."""
    table = tuple(part[None, :, None] for part in positions)
    handle = transformer.rope.register_forward_hook(lambda *_: table)
    try:
        yield
    finally:
        handle.remove()
