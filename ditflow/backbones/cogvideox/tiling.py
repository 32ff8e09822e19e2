"""Spatial tiles of CogVideoX's VAE that fit together at any size."""

from diffusers import AutoencoderKLCogVideoX


def enable_tiling(vae: AutoencoderKLCogVideoX) -> None:
    """Have a VAE encode and decode in tiles.

    The stock tiles of small models overlap by fractions of a latent, which are rounded differently
    for pixels and latents: 64 pixels become 17 latents, not 16. They then overlap by whole latents,
    as near to the stock share as can be; where that fits, as in the published models, it stays.
    """
    vae.enable_tiling()
    ratio = 2 ** (len(vae.config.block_out_channels) - 1)
    for side in ("height", "width"):
        tile = getattr(vae, f"tile_latent_min_{side}")
        stock = getattr(vae, f"tile_overlap_factor_{side}")
        shares = sorted((overlap / tile for overlap in range(tile)), key=lambda s: abs(s - stock))
        fitting = next(share for share in (stock, *shares) if fits(tile, ratio, share))
        setattr(vae, f"tile_sample_min_{side}", tile * ratio)
        setattr(vae, f"tile_overlap_factor_{side}", fitting)


def fits(tile: int, ratio: int, share: float) -> bool:
    """Whether tiles that overlap by a share of themselves fit together, as the VAE rounds it.

    Args:
        tile: latents along a side of a tile.
        ratio: pixels of a latent along a side.
        share: of the tile.

    Example:
        >>> fits(30, 8, 1 / 6), fits(8, 4, 1 / 6), fits(8, 4, 1 / 8)
        (True, False, True)
    """
    latents, pixels = int(tile * (1 - share)), int(tile * ratio * (1 - share))
    blended = int(tile * share), int(tile * ratio * share)
    return pixels == latents * ratio and blended == (tile - latents, tile * ratio - pixels)
