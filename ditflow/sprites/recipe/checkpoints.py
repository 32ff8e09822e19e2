"""What trained parts have left, and the shipped ones where they have left nothing."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel

from ditflow.sprites.recipe.models import build_vae
from ditflow.sprites.render import render
from ditflow.sprites.world import sample_clip

WEIGHTS = Path(__file__).parents[1] / "weights"
"""Of the shipped pipelines."""


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The (averaged) weights of a part's last checkpoint."""
    path = folder / "last.ckpt"
    if not path.exists():
        raise SystemExit(f"{path} is missing; train that part first: see --help.")
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def part_of(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """One module's weights out of those of several."""
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }


def shipped_text_encoder() -> T5EncoderModel:
    return T5EncoderModel.from_pretrained(WEIGHTS / "sprites-rope" / "text_encoder")


def trained_vae(work: Path) -> AutoencoderKLCogVideoX:
    """The trained VAE, its scaling factor set so that latents have unit deviation.

    Where no checkpoint is left, the shipped one.
    """
    vae = build_vae()
    if not (work / "vae" / "last.ckpt").exists():
        shipped = AutoencoderKLCogVideoX.from_pretrained(
            str(WEIGHTS / "sprites-rope"), subfolder="vae", torch_dtype=torch.float32
        )
        # Into a fresh one: a loaded model would write where it was loaded from into its config.
        vae.load_state_dict(shipped.state_dict())
        vae.register_to_config(scaling_factor=shipped.config.scaling_factor)
        return vae.eval()
    vae.load_state_dict(part_of(weights_of(work / "vae"), "vae"))
    generator = torch.Generator().manual_seed(0)
    video = render([sample_clip(generator) for _ in range(32)]) * 2 - 1
    with torch.no_grad():
        latents = vae.encode(video.transpose(1, 2)).latent_dist.mean
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
    return vae.eval()
