"""Put positional tensors into a CogVideoX transformer, whichever way it takes them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions
from ditflow.functional.positional_tables import rotary_table, sinusoidal_table


def token_grid(transformer: CogVideoXTransformer3DModel, latent_shape: tuple[int, ...]) -> Grid:
    """(F, H, W) of latents [B, F', C, h, w]: a temporal patch joins frames."""
    _, frames, _, height, width = latent_shape
    patch, patch_t = transformer.config.patch_size, transformer.config.patch_size_t or 1
    return frames // patch_t, height // patch, width // patch


def stock_positions(
    transformer: CogVideoXTransformer3DModel, latent_shape: tuple[int, ...], device: torch.device
) -> Positions:
    """ρ as the stock pipeline makes it for latents of this shape."""
    config, grid = transformer.config, token_grid(transformer, latent_shape)
    if not config.use_rotary_positional_embeddings:
        embed = transformer.patch_embed
        size = latent_shape[3], latent_shape[4], _sample_frames(transformer, latent_shape)
        if size == (embed.sample_height, embed.sample_width, embed.sample_frames):
            table = embed.pos_embedding  # as loaded: exact in half precision too
        else:
            table = embed._get_positional_embeddings(*size, device=device)
        return (table[0, config.max_text_seq_length :].to(device),)
    frames, height, width = grid
    base = _base_size(transformer)
    if config.patch_size_t is None:
        return get_3d_rotary_pos_embed(
            config.attention_head_dim,
            get_resize_crop_region_for_grid((height, width), base[1], base[0]),
            (height, width),
            frames,
            device=device,
        )
    return get_3d_rotary_pos_embed(
        config.attention_head_dim,
        None,
        (height, width),
        frames,
        grid_type="slice",
        max_size=base,
        device=device,
    )


def stock_coordinates(
    transformer: CogVideoXTransformer3DModel, latent_shape: tuple[int, ...], device: torch.device
) -> torch.Tensor:
    """[N, 3] (frame, row, column) of every token, in units of the stock table's positions."""
    config = transformer.config
    frames, height, width = token_grid(transformer, latent_shape)
    rows, columns = torch.arange(height).float(), torch.arange(width).float()
    if config.use_rotary_positional_embeddings and config.patch_size_t is None:
        # CogVideoX 1.0 stretches a size other than its own over the positions it was trained on.
        base = _base_size(transformer)
        start, stop = get_resize_crop_region_for_grid((height, width), base[1], base[0])
        rows = torch.linspace(start[0], stop[0] * (height - 1) / height, height)
        columns = torch.linspace(start[1], stop[1] * (width - 1) / width, width)
    mesh = torch.meshgrid(torch.arange(frames).float(), rows, columns, indexing="ij")
    return torch.stack(mesh, dim=-1).flatten(0, 2).to(device)


def positions_at(transformer: CogVideoXTransformer3DModel, coordinates: torch.Tensor) -> Positions:
    """ρ of tokens at any coordinates [N, 3], differentiable."""
    config = transformer.config
    if config.use_rotary_positional_embeddings:
        return rotary_table(coordinates, config.attention_head_dim)
    return (
        sinusoidal_table(
            coordinates,
            config.num_attention_heads * config.attention_head_dim,
            spatial_scale=config.spatial_interpolation_scale,
            temporal_scale=config.temporal_interpolation_scale,
        ),
    )


@contextmanager
def added_positions(
    transformer: CogVideoXTransformer3DModel, table: torch.Tensor, latent_shape: tuple[int, ...]
) -> Iterator[None]:
    """Make a sinusoidal transformer add `table` [N, width] to its image tokens.

    The patch embedding reads its buffer only at the size it was built for and computes a stock
    table at any other, so the size is lent to it as well; all is put back on exit.
    """
    embed = transformer.patch_embed
    own = embed.pos_embedding, embed.sample_height, embed.sample_width, embed.sample_frames
    text = table.new_zeros(transformer.config.max_text_seq_length, table.shape[1])
    try:
        embed.pos_embedding = torch.cat([text, table])[None]
        embed.sample_height, embed.sample_width = latent_shape[3], latent_shape[4]
        embed.sample_frames = _sample_frames(transformer, latent_shape)
        yield
    finally:
        embed.pos_embedding, embed.sample_height, embed.sample_width, embed.sample_frames = own
        # Offloading may have moved the module meanwhile, and with it what was lent.
        embed.pos_embedding = embed.pos_embedding.to(embed.proj.weight.device)


def _sample_frames(transformer: CogVideoXTransformer3DModel, latent_shape: tuple[int, ...]) -> int:
    return (latent_shape[1] - 1) * transformer.config.temporal_compression_ratio + 1


def _base_size(transformer: CogVideoXTransformer3DModel) -> tuple[int, int]:
    """(rows, columns) of tokens at the size the transformer was trained on."""
    config = transformer.config
    return config.sample_height // config.patch_size, config.sample_width // config.patch_size
