"""What a video's frames and pixels are on the token grid."""

import torch
import torch.nn.functional as F

from ditflow.functional.attention_tiles import Grid


def over_frames(
    values: torch.Tensor, frames: int, latent_frames: int, temporal_ratio: int
) -> torch.Tensor:
    """Mean of one value a video frame over the frames that each frame of tokens stands for.

    The VAE makes one latent frame of the first frame and one of every `temporal_ratio` after it;
    of a temporal patch that does not divide these, the first comes again at the front.

    Args:
        values: [T, ...], T = `temporal_ratio`·k + 1.
        frames: F of the token grid.
        latent_frames: of the transformer's input, a multiple of F and at least k + 1.
        temporal_ratio: frames of video a latent frame stands for.

    Returns:
        [F, ...].

    Example:
        >>> over_frames(torch.tensor([1.0, 2.0, 4.0, 6.0, 8.0]), 2, 2, temporal_ratio=4)
        tensor([1., 5.])
    """
    latent = torch.cat([values[:1], values[1:].unflatten(0, (-1, temporal_ratio)).mean(1)])
    front = latent[:1].expand(latent_frames - len(latent), *latent.shape[1:])
    return torch.cat([front, latent]).unflatten(0, (frames, -1)).mean(1)


def token_mask(
    mask: torch.Tensor, grid: Grid, latent_frames: int, temporal_ratio: int
) -> torch.Tensor:
    """The share of each patch that a mask covers, [F, S] in [0, 1].

    Args:
        mask: [T, height, width] in [0, 1], of every frame and pixel of the video.
        grid: (F, H, W).
        latent_frames, temporal_ratio: as of `over_frames`.

    Example:
        >>> mask = torch.zeros(5, 2, 4)
        >>> mask[:, :, :1] = 1  # the left quarter, half of the left patch
        >>> token_mask(mask, (2, 1, 2), 2, temporal_ratio=4)
        tensor([[0.5000, 0.0000],
                [0.5000, 0.0000]])
    """
    frames, height, width = grid
    return over_frames(
        F.adaptive_avg_pool2d(mask[:, None], (height, width)).flatten(1),
        *(frames, latent_frames, temporal_ratio),
    )
