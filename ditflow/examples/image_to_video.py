"""A backbone of one's own: CogVideoX image-to-video, which sees a first frame beside the latents.

    ditflow fit --config cogvideox-5b --config image_to_video.yaml --video ref.mp4 \
        --prompt "a leopard running" --output runs/from-image
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXDPMScheduler, CogVideoXImageToVideoPipeline
from PIL import Image

from ditflow.backbones import CogVideoXBackbone
from ditflow.errors import DitflowError
from ditflow.video.sizing import fit_size


class ImageToVideoBackbone(CogVideoXBackbone):
    """CogVideoX whose transformer is given a first frame's latents beside the video's.

    All else is the text-to-video model's: attention, positions, grid, scheduler.

    Args:
        pipeline: loaded, on its device.
        name: what messages and embeddings call it.
        image: [height, width, 3], uint8, of any size; resized and cropped to the video's.
    """

    def __init__(self, pipeline: CogVideoXImageToVideoPipeline, name: str, image: np.ndarray):
        super().__init__(pipeline, name)
        self.image = image
        self._encoded: dict[tuple[int, ...], torch.Tensor] = {}

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        batch, frames, channels, *size = super().latent_shape(num_frames, height, width)
        return batch, frames, channels // 2, *size  # the other half are the image's

    def model_input(self, latents: torch.Tensor) -> torch.Tensor:
        batch, *shape = latents.shape
        image = self._image_latents(tuple(shape)).expand(batch, -1, -1, -1, -1)
        return torch.cat([super().model_input(latents), image.to(self.dtype)], dim=2)

    @torch.no_grad()
    def _image_latents(self, shape: tuple[int, ...]) -> torch.Tensor:
        """[1, F, C, h, w]: the image's in the first latent frame, nothing in the others."""
        if shape not in self._encoded:
            frames, channels, height, width = shape
            scale = self.pipeline.vae_scale_factor_spatial
            first = self.encode_video(fit_size(self.image[None], height * scale, width * scale))
            others = first.new_zeros(1, frames - 1, channels, height, width)
            self._encoded = {shape: torch.cat([first, others], dim=1)}
        return self._encoded[shape]


def load_image_to_video(
    name: str = "THUDM/CogVideoX-5b-I2V",
    image: Path = Path("first.png"),
    device: str = "cuda",
) -> CogVideoXBackbone:
    """Load an image-to-video model with the image that its videos start from.

    Args:
        name: of the hub, or a folder in diffusers' layout.
        image: file of the first frame.
        device: where it computes; the weights wait in main memory until they are needed.
    """
    try:
        pixels = np.asarray(Image.open(image).convert("RGB"))
    except OSError as error:
        raise DitflowError(f"image={image} cannot be read; give the first frame's.") from error
    pipeline = CogVideoXImageToVideoPipeline.from_pretrained(name, dtype=torch.bfloat16)
    pipeline.scheduler = CogVideoXDPMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing"
    )
    pipeline.vae.enable_tiling()
    pipeline.transformer.enable_gradient_checkpointing()
    pipeline.enable_model_cpu_offload(device=device)
    return ImageToVideoBackbone(pipeline, name, pixels)
