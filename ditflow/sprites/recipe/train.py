"""The recipe of the sprites world: one command a part, each resumable where it stopped.

python -m ditflow.sprites.train vae       # autoencoder
python -m ditflow.sprites.train latents   # clips encoded once
python -m ditflow.sprites.train rope      # rotary transformer and text encoder
python -m ditflow.sprites.train sincos    # sinusoidal transformer, from the rotary one's weights
python -m ditflow.sprites.train wan_vae   # Wan's autoencoder, from frames and the other's latents
python -m ditflow.sprites.train wan       # Wan's transformer
python -m ditflow.sprites.train clip      # CLIP, for measuring
python -m ditflow.sprites.train package   # half-precision pipelines into ditflow/sprites/weights
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from diffusers import CogVideoXPipeline
from jsonargparse import auto_cli
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from ditflow.sprites.recipe.checkpoints import (
    WEIGHTS,
    part_of,
    shipped_text_encoder,
    trained_vae,
    weights_of,
)
from ditflow.sprites.recipe.latents import LatentClips, encode_shards
from ditflow.sprites.recipe.like_latents import LatentFrames
from ditflow.sprites.recipe.models import (
    as_umt5,
    build_clip_processor,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
    build_vae,
    build_wan_transformer,
    build_wan_vae,
)
from ditflow.sprites.recipe.packaging import cogvideox_pipeline, save, save_clip, wan_pipeline
from ditflow.sprites.recipe.train_clip import ClipTraining, Frames
from ditflow.sprites.recipe.train_transformer import CogVideoXTraining, TransformerTraining
from ditflow.sprites.recipe.train_vae import VAEClips, VAETraining
from ditflow.sprites.recipe.train_wan import WanTraining


class Recipe:
    """Train the sprites world, part by part.

    Args:
        work: folder for checkpoints, latents and TensorBoard logs; git ignores `work/`.
        seed: of everything random.
        precision: Lightning's; `bf16-mixed` is the faster on a CPU with bfloat16 arithmetic
            (AVX512-BF16, AMX), and ten times slower on one without.
        processes: that share each transformer step, one thread each. On two cores, two processes
            were a quarter faster than one with two threads.
    """

    def __init__(
        self,
        work: Path = Path("work/sprites"),
        seed: int = 1,
        precision: Any = "32-true",
        processes: int = 1,
    ):
        self.work, self.seed = work, seed
        self.precision, self.processes = precision, processes
        lightning.seed_everything(seed)

    def vae(self, epochs: int = 28, crop_epochs: int = 16) -> None:
        """Train the VAE for `epochs` of 100 steps, the first `crop_epochs` on crops."""
        data = VAEClips(self.seed, full_from_epoch=crop_epochs)
        self._fit(VAETraining(build_vae(), epochs), data, "vae", processes=1)

    def wan_vae(self, epochs: int = 24, crop_epochs: int = 16) -> None:
        """Train Wan's VAE on frames and on the latents that the other VAE made of them: so one
        transformer's training data serve the other's as well. Arguments as of `vae`."""
        data = LatentFrames(self.work, self.seed, full_from_epoch=crop_epochs)
        self._fit(VAETraining(build_wan_vae(), epochs), data, "wan_vae", processes=1)

    def latents(self, count: int = 10240, stills: int = 20480) -> None:
        """Encode `count` random clips and `stills` single frames with the trained VAE."""
        vae, tokenizer = trained_vae(self.work), build_tokenizer()
        encode_shards(vae, tokenizer, self.work / "latents", count, self.seed)
        encode_shards(vae, tokenizer, self.work / "stills", stills, self.seed, frames=1)

    def rope(
        self,
        epochs: int = 56,
        learning_rate: float = 1.5e-3,
        sprite_weight: float = 4.0,
        clips: int = 8,
        stills: int = 32,
        start: Path | None = None,
    ) -> None:
        """Train the rotary transformer together with the text encoder.

        Args:
            epochs: of 100 steps.
            learning_rate: at its highest.
            sprite_weight: how much more the loss counts where the sprite is.
            clips: in a step.
            stills: single frames in a step.
            start: a packaged pipeline to go on from, where no checkpoint is left.
        """
        module = self._module(True, epochs, learning_rate, sprite_weight)
        if start is not None:
            _load_packaged(module, start)
        self._train(module, "rope", clips, stills)

    def sincos(
        self,
        epochs: int = 12,
        learning_rate: float = 7e-4,
        sprite_weight: float = 4.0,
        clips: int = 8,
        stills: int = 32,
        start: Path | None = None,
    ) -> None:
        """Train the sinusoidal transformer on the rotary one's text encoder, which stays frozen.

        It begins with the rotary one's weights, unless `start` is given. Arguments as of `rope`.
        """
        module = self._module(False, epochs, learning_rate, sprite_weight)
        state = weights_of(self.work / "rope")
        if start is not None:
            _load_packaged(module, start)
        else:
            module.transformer.load_state_dict(part_of(state, "transformer"))
        module.text_encoder.load_state_dict(part_of(state, "text_encoder"))
        self._train(module, "sincos", clips, stills)

    def wan(
        self,
        epochs: int = 40,
        learning_rate: float = 1.5e-3,
        sprite_weight: float = 4.0,
        clips: int = 8,
        stills: int = 24,
    ) -> None:
        """Train Wan's transformer on the shipped text encoder, which stays frozen.

        Arguments as of `rope`.
        """
        module = self._wan_module(epochs, learning_rate, sprite_weight)
        self._train(module, "wan", clips, stills)

    def clip(self, epochs: int = 12) -> None:
        """Train the CLIP that image quality is measured with, for `epochs` of 100 steps."""
        module = ClipTraining(build_clip_processor(), epochs)
        self._fit(module, Frames(trained_vae(self.work), self.seed), "clip", processes=1)

    def package(
        self, parts: Sequence[str] = ("rope", "sincos", "wan", "clip"), folder: Path = WEIGHTS
    ) -> None:
        """Write trained `parts` as ordinary diffusers (transformers) folders in half precision."""
        for part in parts:
            match part:
                case "clip":
                    save_clip(self.work, folder / "sprites-clip")
                case "wan":
                    save(wan_pipeline(self.work), folder / "sprites-wan")
                case _:
                    save(cogvideox_pipeline(self.work, part), folder / f"sprites-{part}")

    def _module(
        self, rotary: bool, epochs: int, learning_rate: float, sprite_weight: float
    ) -> TransformerTraining:
        tokenizer = build_tokenizer()
        transformer = build_transformer(rotary)
        return CogVideoXTraining(
            transformer,
            build_text_encoder(len(tokenizer)),
            empty_ids=_empty_ids(),
            epochs=epochs,
            learning_rate=learning_rate,
            train_text_encoder=rotary,
            sprite_weight=sprite_weight,
        )

    def _wan_module(
        self, epochs: int, learning_rate: float, sprite_weight: float
    ) -> TransformerTraining:
        return WanTraining(
            build_wan_transformer(),
            as_umt5(shipped_text_encoder()),
            empty_ids=_empty_ids(),
            epochs=epochs,
            learning_rate=learning_rate,
            train_text_encoder=False,
            sprite_weight=sprite_weight,
        )

    def _train(self, module: TransformerTraining, part: str, clips: int, stills: int) -> None:
        for name, count in (("clips", clips), ("stills", stills)):
            if count % self.processes:
                raise SystemExit(
                    f"--{name} {count} cannot be shared by --processes {self.processes}; "
                    "give a multiple."
                )
        data = LatentClips(self.work, self.seed, clips // self.processes, stills // self.processes)
        self._fit(module, data, part, self.processes, [EMAWeightAveraging(decay=0.998)])

    def _fit(
        self,
        module: Any,
        data: lightning.LightningDataModule,
        part: str,
        processes: int,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Train to the module's epochs, from the part's last checkpoint if it has one."""
        folder = self.work / part
        checkpoint = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
        last = folder / "last.ckpt"
        trainer = lightning.Trainer(
            max_epochs=module.epochs,
            accelerator="cpu",
            devices=processes,
            strategy="ddp" if processes > 1 else "auto",
            precision=self.precision,
            callbacks=[checkpoint, *callbacks],
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            log_every_n_steps=10,
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=1.0 if module.automatic_optimization else None,
            enable_model_summary=False,
        )
        trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)


def _empty_ids() -> torch.Tensor:
    """Token ids of the empty prompt, [L]."""
    tokenizer = build_tokenizer()
    return tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]


def _load_packaged(module: TransformerTraining, folder: Path) -> None:
    """Put a packaged pipeline's transformer and text encoder into training."""
    pipeline = CogVideoXPipeline.from_pretrained(str(folder), dtype=torch.float32)
    module.transformer.load_state_dict(pipeline.transformer.state_dict())
    module.text_encoder.load_state_dict(pipeline.text_encoder.state_dict())


def main() -> None:
    """The command line."""
    auto_cli(Recipe)
