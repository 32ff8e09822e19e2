"""Train a sprites transformer on cached latents, captions dropped at times."""

from abc import abstractmethod
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel, ModelMixin
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from lightning import LightningModule
from transformers import PreTrainedModel

from ditflow.backbones.cogvideox.attention import CogVideoXProcessor
from ditflow.sprites.recipe.models import build_scheduler
from ditflow.sprites.recipe.muon import Muon
from ditflow.sprites.recipe.train_vae import STEPS_PER_EPOCH, cosine


class Float32Attention(CogVideoXProcessor):
    """Attention in float32 under autocast: on a CPU faster by a quarter than in bfloat16."""

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        with torch.autocast(query.device.type, enabled=False):
            return super().attend(query.float(), key.float(), value.float(), mask)


class TransformerTraining(LightningModule):
    """Denoising loss over random timesteps; a family says what is predicted, and how.

    The matrices of attention and feed-forward are trained by Muon, which needs about half the
    steps Adam does here, all other weights by AdamW; two optimisers ask for manual optimisation.

    Args:
        transformer: trained in place.
        text_encoder: trained along, unless `train_text_encoder` is false.
        empty_ids: token ids of the empty prompt, [L].
        epochs: of 100 steps, for the cosine fall of the rate.
        learning_rate: of both optimisers (Muon's is matched to Adam's update size).
        sprite_weight: how much more the loss counts where the sprite is, a tenth of the picture:
            else most of the gradient goes into the background's texture.
        caption_dropout: share of captions replaced by the empty prompt, for guidance.
    """

    automatic_optimization = False

    trainer: Any
    empty_ids: torch.Tensor

    def __init__(
        self,
        transformer: ModelMixin,
        text_encoder: PreTrainedModel,
        empty_ids: torch.Tensor,
        epochs: int,
        learning_rate: float,
        train_text_encoder: bool,
        sprite_weight: float = 4.0,
        caption_dropout: float = 0.1,
    ):
        super().__init__()
        self.transformer, self.text_encoder = transformer, text_encoder
        self.text_encoder.requires_grad_(train_text_encoder)
        self.register_buffer("empty_ids", empty_ids, persistent=False)
        self.epochs, self.learning_rate = epochs, learning_rate
        self.sprite_weight, self.caption_dropout = sprite_weight, caption_dropout

    @abstractmethod
    def noised(
        self, latents: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents [B, F, C, h, w] at times in the schedule [B], of 0 to 1, the noisiest: with
        noise, what is to be predicted of them, and the timesteps."""

    @abstractmethod
    def predicted(
        self, noisy: torch.Tensor, ids: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """The transformer's prediction, of latents [B, F, C, h, w] and token ids [B, L]."""

    def on_train_epoch_start(self) -> None:
        # Noise of its own in every process and epoch, also after resuming.
        epoch = self.current_epoch * self.trainer.world_size + self.global_rank
        torch.manual_seed(self.trainer.datamodule.seed * 1_000_003 + epoch)

    def training_step(self, batch: list[tuple[torch.Tensor, ...]], batch_idx: int) -> None:
        losses = [self._loss(*part) for part in batch]
        loss = torch.stack(losses).mean()
        optimizers: Any = self.optimizers()
        schedulers: Any = self.lr_schedulers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
        names = ("loss/clips", "loss/stills")
        self.log_dict(dict(zip(names, losses, strict=False)), prog_bar=True)

    def _loss(self, latents: torch.Tensor, ids: torch.Tensor, sprite: torch.Tensor) -> torch.Tensor:
        """Squared error of the velocity at random timesteps, weighted."""
        dropped = torch.rand(len(ids), device=self.device) < self.caption_dropout
        ids = torch.where(dropped[:, None], self.empty_ids, ids)
        noisy, target, timesteps = self.noised(latents, self._times(len(latents)))
        predicted = self.predicted(noisy, ids, timesteps)
        weight = 1 + (self.sprite_weight - 1) * sprite[:, :, None]
        squared = (predicted.float() - target).square()
        return (weight * squared).sum() / weight.expand_as(squared).sum()

    def _times(self, count: int) -> torch.Tensor:
        """Random times in the schedule, three fifths of them from the noisiest quarter.

        With these schedules what is drawn, and how it moves, is decided there; below lies texture.
        """
        lowest = torch.where(torch.rand(count, device=self.device) < 0.6, 0.75, 0.0)
        return lowest + torch.rand(count, device=self.device) * (1 - lowest)

    def configure_optimizers(self) -> Any:
        matrices: list[torch.Tensor] = []
        others: list[torch.Tensor] = []
        for name, weight in self.named_parameters():
            if not weight.requires_grad:
                continue
            inside = "blocks." in name and (".attn" in name or ".ff" in name)
            (matrices if inside and weight.ndim == 2 else others).append(weight)
        muon = Muon(matrices, lr=self.learning_rate)
        adam = torch.optim.AdamW(others, lr=self.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
        steps = self.epochs * STEPS_PER_EPOCH
        return [cosine(muon, steps), cosine(adam, steps)]


class CogVideoXTraining(TransformerTraining):
    """v-prediction, as the pipeline's scheduler has it; arguments as `TransformerTraining`."""

    def __init__(self, transformer: CogVideoXTransformer3DModel, *args: Any, **kwargs: Any):
        super().__init__(transformer, *args, **kwargs)
        for block in transformer.transformer_blocks:
            block.attn1.processor = Float32Attention()
        rotary = transformer.config.use_rotary_positional_embeddings
        self.scheduler = build_scheduler(rotary)
        self.rotary = _rotary(transformer) if rotary else None

    def noised(
        self, latents: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        steps = self.scheduler.config.num_train_timesteps
        timesteps = (times * steps).long().clamp(max=steps - 1)
        noise = torch.randn_like(latents)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        return noisy, self.scheduler.get_velocity(latents, noise, timesteps), timesteps

    def predicted(
        self, noisy: torch.Tensor, ids: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        rotary = self.rotary
        if rotary is not None:
            tokens = noisy[0, :, 0].numel() // self.transformer.config.patch_size**2
            rotary = (rotary[0][:tokens], rotary[1][:tokens])
        return self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=self.text_encoder(ids)[0],
            timestep=timesteps,
            image_rotary_emb=rotary,
            return_dict=False,
        )[0]


def _rotary(transformer: CogVideoXTransformer3DModel) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotary table the stock pipeline makes for the transformer's own size."""
    config = transformer.config
    height, width = (
        config.sample_height // config.patch_size,
        config.sample_width // config.patch_size,
    )
    return get_3d_rotary_pos_embed(
        config.attention_head_dim,
        ((0, 0), (height, width)),
        (height, width),
        (config.sample_frames - 1) // config.temporal_compression_ratio + 1,
    )
