"""The training recipe: one smoke step on latents made here, and its optimiser."""

import pytest
import torch
from lightning import Trainer
from safetensors.torch import load_file, save_file

from ditflow.sprites.recipe.checkpoints import shipped_text_encoder
from ditflow.sprites.recipe.latents import SHARD, LatentClips, encode, shard_clips, sprite_places
from ditflow.sprites.recipe.like_latents import LatentFrames, LikeLatents
from ditflow.sprites.recipe.models import (
    MAX_TEXT_TOKENS,
    as_umt5,
    build_transformer,
    build_vae,
    build_wan_vae,
)
from ditflow.sprites.recipe.muon import Muon, orthogonalised
from ditflow.sprites.recipe.train import Recipe
from ditflow.sprites.recipe.train_vae import VAETraining
from ditflow.sprites.render import render


def write_shard(folder, frames: int, channels: int = 8) -> None:
    """As `encode_shards` writes them, `frames` latent frames of noise."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    clips = shard_clips(0, seed=5, frames=4 * frames - 3)
    tensors = {
        "latents": torch.randn(SHARD, frames, channels, 16, 16, generator=generator).half(),
        "ids": torch.randint(
            0, 20, (SHARD, MAX_TEXT_TOKENS), dtype=torch.int16, generator=generator
        ),
        "paths": torch.tensor([clip.path for clip in clips]),
        "radii": torch.tensor([clip.radius for clip in clips]),
    }
    save_file(tensors, folder / "000.safetensors")


@pytest.mark.parametrize("kind", ["rope", "sincos", "wan"])
@pytest.mark.parametrize("stills", [0, 2])
def test_a_step_changes_what_is_trained_only(tmp_path, kind, stills):
    write_shard(tmp_path / "latents", frames=7)
    write_shard(tmp_path / "stills", frames=1)
    recipe = Recipe(tmp_path)
    options = {"epochs": 1, "learning_rate": 1e-3, "sprite_weight": 4.0}
    if kind == "wan":
        module = recipe._wan_module(**options)
    else:
        module = recipe._module(kind == "rope", **options)
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    data = LatentClips(tmp_path, seed=1, clips=2, stills=stills)
    trainer = Trainer(
        accelerator="cpu", fast_dev_run=2, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(module, data)
    changed = {
        name for name, weight in module.named_parameters() if not torch.equal(weight, before[name])
    }
    text = {name for name in before if name.startswith("text_encoder.")}
    assert (text & changed) == (text if kind == "rope" else set())
    assert changed >= {name for name in before if ".attn1.to_q" in name}


def test_wans_vae_is_trained_on_frames_and_on_their_latents(tmp_path):
    write_shard(tmp_path / "latents", frames=7)
    data = LatentFrames(tmp_path, seed=5, full_from_epoch=1)
    module = VAETraining(build_wan_vae(), epochs=1)
    trainer = Trainer(
        accelerator="cpu", fast_dev_run=1, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(module, data)
    assert {"l1", "latents"} <= trainer.logged_metrics.keys()


def test_latents_are_those_of_their_frames(tmp_path):
    """Of a VAE's own latents the crops are those of the frames that come with them."""
    clips = shard_clips(0, seed=5, frames=25)
    first = render([clip.at(0) for clip in clips])[:, 0]  # [B, 3, 64, 64]
    rough = torch.nn.functional.avg_pool2d(first, 4)
    latents = torch.zeros(SHARD, 7, 8, 16, 16)
    latents[:, 0, :3] = rough
    write_shard(tmp_path / "latents", frames=7)
    tensors = load_file(tmp_path / "latents" / "000.safetensors")
    save_file(tensors | {"latents": latents.half()}, tmp_path / "latents" / "000.safetensors")
    for crop in (32, 64):
        data = LikeLatents(tmp_path, 5, seed=0, crop=crop, batch_size=3, frames=9)
        video, latents = next(iter(data))
        assert video.shape == (3, 3, 9, crop, crop)
        pooled = torch.nn.functional.avg_pool2d(video[:, :, 0] / 2 + 0.5, 4)
        torch.testing.assert_close(pooled, latents[:, :3, 0], atol=2e-3, rtol=0)


def test_text_is_read_alike_by_wans_class():
    text_encoder = shipped_text_encoder().eval()
    ids = torch.randint(0, 20, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert as_umt5(text_encoder).eval()(ids)[0].equal(text_encoder(ids)[0])


def test_clips_that_processes_cannot_share_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="--clips 3 cannot be shared by --processes 2"):
        Recipe(tmp_path, processes=2)._train(None, "rope", clips=3, stills=4)


def test_places_cover_the_sprite():
    clips = shard_clips(0, seed=5, frames=25)[:4]
    paths = torch.tensor([clip.path for clip in clips])
    radii = torch.tensor([clip.radius for clip in clips])
    places = sprite_places(paths, radii, 16)
    video = render(clips)
    still = render([clip.__class__(**{**vars(clip), "color": "pink"}) for clip in clips])
    other = render([clip.__class__(**{**vars(clip), "color": "green"}) for clip in clips])
    differs = (still != other).any(2).float().flatten(0, 1)
    differs = torch.nn.functional.max_pool2d(differs[:, None], 4)[:, 0].unflatten(0, (4, 25))
    latent = torch.cat([differs[:, :1], differs[:, 1:].unflatten(1, (6, 4)).amax(2)], 1)
    assert video.shape[1] == 25
    assert places.shape == latent.shape == (4, 7, 16, 16)
    # Nearly all of the pixels that belong to the sprite, and not the whole picture.
    assert (places * latent).sum() > 0.95 * latent.sum()
    assert places.mean() < 0.6


def test_encoded_latents_are_scaled_means():
    vae = build_vae().eval()
    vae.register_to_config(scaling_factor=2.0)
    video = render(shard_clips(0, seed=1, frames=5)[:1])
    with torch.no_grad():
        latents = encode(vae, video)
        mean = vae.encode((video * 2 - 1).transpose(1, 2)).latent_dist.mean
    assert latents.shape == (1, 2, 8, 16, 16)
    torch.testing.assert_close(latents, 2 * mean.transpose(1, 2))


@pytest.mark.parametrize("shape", [(32, 32), (64, 16), (16, 64)])
def test_muon_takes_the_steps_torch_does(shape):
    torch.manual_seed(0)
    start = torch.randn(2, *shape)
    ours = [torch.nn.Parameter(part.clone()) for part in start]
    theirs = [torch.nn.Parameter(part.clone()) for part in start]
    optimizers = (
        Muon(ours, lr=0.01),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(shape)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, first in zip(ours, theirs, start, strict=True):
        # torch's own works in bfloat16.
        assert (a - b).norm() < 0.1 * (b - first).norm()


def test_orthogonalised_matrices_have_even_singular_values():
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_transformer_is_small_enough_to_ship():
    assert sum(weight.numel() for weight in build_transformer(True).parameters()) < 3e6


def test_both_shipped_pipelines_share_text_encoder_and_vae(rope):
    from ditflow import load_backbone

    other = load_backbone("sprites-sincos").pipeline
    for ours, theirs in (
        (rope.pipeline.text_encoder, other.text_encoder),
        (rope.pipeline.vae, other.vae),
    ):
        state = theirs.state_dict()
        assert ours.state_dict().keys() == state.keys()
        assert all((value == state[key]).all() for key, value in ours.state_dict().items())
