"""The worked examples of docs/extending.md."""

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from diffusers import CogVideoXImageToVideoPipeline, CogVideoXTransformer3DModel

from ditflow import MotionDataModule, MotionTransfer
from ditflow.backbones.base import BlockFeatures, PassInput
from ditflow.cli import main
from tests.conftest import tiny_pipeline

ROOT = Path(__file__).parents[2]


def test_an_objective_of_ones_own(reference_video, tmp_path, capsys):
    from ditflow.examples.frame_differences import FrameDifferences

    torch.manual_seed(0)
    frames = torch.randn(3, 4, 5)
    outputs = BlockFeatures(frames.flatten(0, 1).requires_grad_(), (3, 2, 2))
    objective = FrameDifferences(stride=2)
    reference = objective.reference(outputs).detach()
    assert torch.equal(reference, frames[2:] - frames[:-2])
    assert objective.loss(outputs, reference).item() == pytest.approx(0, abs=1e-6)
    assert objective.loss(outputs, -reference).item() == pytest.approx(2, abs=1e-6)

    fit = ["fit", "--video", str(reference_video), "--prompt", "a red ring on a gray background"]
    chosen = ["--model.objective", "ditflow.examples.frame_differences.FrameDifferences"]
    chosen += ["--model.objective.stride", "2", "--steps", "2", "--model.guided_share", "0.5"]
    assert main([*fit, *chosen, "--num-frames", "9", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "video.mp4").exists()
    assert "FrameDifferences" in (tmp_path / "config.yaml").read_text()


def image_to_video_pipeline() -> CogVideoXImageToVideoPipeline:
    """As `tiny_pipeline`, with a transformer of twice the input channels."""
    tiny = tiny_pipeline("5b")
    config = dict(tiny.transformer.config) | {"in_channels": 8}
    transformer = CogVideoXTransformer3DModel.from_config(config).eval()
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    parts = ("tokenizer", "text_encoder", "vae", "scheduler")
    return CogVideoXImageToVideoPipeline(
        transformer=transformer, **{name: getattr(tiny, name) for name in parts}
    )


def test_a_backbone_of_ones_own(reference_video, tmp_path):
    from ditflow.examples.image_to_video import ImageToVideoBackbone

    images = np.random.default_rng(0).integers(0, 256, (2, 40, 32, 3), dtype=np.uint8)
    pipeline = image_to_video_pipeline()
    backbones = [ImageToVideoBackbone(pipeline, "tiny-i2v", image) for image in images]
    backbone = backbones[0]
    shape = backbone.latent_shape(9, 32, 32)
    assert shape == (1, 3, 4, 8, 8)

    # The transformer sees what the stock pipeline gives it: the image's latents in the first frame.
    torch.manual_seed(1)
    latents, timestep = torch.randn(shape), torch.tensor(500)
    prompt, positions = backbone.encode_prompt("a red ring"), backbone.positions(shape)
    pixels = pipeline.video_processor.preprocess(
        np.asarray(backbone.image[4:36])[None] / 255.0, height=32, width=32
    )
    encoded = pipeline.vae.encode(pixels.float()[:, :, None]).latent_dist.mode()
    encoded = encoded.transpose(1, 2) * pipeline.vae_scaling_factor_image
    given = torch.cat([latents, torch.cat([encoded, torch.zeros(1, 2, 4, 8, 8)], dim=1)], dim=2)
    with torch.no_grad():
        expected = pipeline.transformer(
            given, prompt, timestep[None], image_rotary_emb=positions, return_dict=False
        )[0]
    found = backbone.denoise(PassInput(latents, timestep, prompt, positions), None, 1.0)
    assert torch.allclose(found, expected, atol=1e-5)

    videos = []
    for chosen in backbones:
        module = MotionTransfer(chosen, block=1, num_inference_steps=2, guided_share=0.5)
        module.progress = False
        data = MotionDataModule(video=reference_video, prompts=["a red ring"], cache=False)
        trainer = lightning.Trainer(
            max_epochs=-1,
            accelerator="cpu",
            default_root_dir=tmp_path,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(module, data)
        videos.append(module.videos[0])
        assert (module.parameter - module.initial).abs().max() > 0
    assert videos[0].shape == (9, 3, 32, 32)
    assert not torch.equal(*videos)


def test_the_documentation_shows_these_files():
    shown = (ROOT / "docs" / "extending.md").read_text()
    for name in ("frame_differences.py", "image_to_video.py", "image_to_video.yaml"):
        assert f"\n{(ROOT / 'ditflow' / 'examples' / name).read_text()}```" in shown
