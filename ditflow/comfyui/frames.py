"""ComfyUI's frames as ours, and ours as its."""

import torch


def as_video(images: torch.Tensor) -> torch.Tensor:
    """ComfyUI's frames [T, h, w, 3 or 4] as a video [T, 3, h, w]; what upscaling has pushed out of
    [0, 1] is clamped."""
    return images[..., :3].movedim(-1, 1).clamp(0, 1)


def first_of(images: torch.Tensor | None) -> torch.Tensor | None:
    """The first of ComfyUI's images as one [3, h, w]."""
    return None if images is None else as_video(images)[0]


def as_images(video: torch.Tensor) -> torch.Tensor:
    """A video [T, 3, h, w] as ComfyUI's frames [T, h, w, 3]."""
    return video.movedim(1, -1).float().cpu().contiguous()


def as_mask(mask: torch.Tensor | None) -> torch.Tensor | None:
    """ComfyUI's mask, [h, w], [T, h, w] or [T, 1, h, w], without the channel."""
    if mask is None:
        return None
    return (mask[:, 0] if mask.dim() == 4 else mask).clamp(0, 1)
