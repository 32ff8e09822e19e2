"""Motion onto one's own picture, with a tiny untrained image-to-video pipeline."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ditflow
from ditflow import DitflowError, load_backbone
from ditflow.backbones.cogvideox.image_to_video import CogVideoXImageBackbone
from ditflow.backbones.images import condition_on, condition_on_first
from ditflow.cli import main
from ditflow.reference import read_image
from tests.conftest import tiny_pipeline
from tests.test_module import PROMPT, fit, predict
from tests.typed import fails

FEW = ["--block", "1", "--steps", "2", "--model.optimization_steps", "1", "--num-frames", "9"]
FEW += ["--kv_injection.block", "0"]


@pytest.fixture(scope="module")
def backbone():
    return CogVideoXImageBackbone(tiny_pipeline("5b-i2v"), "tiny-i2v")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-i2v"
    tiny_pipeline("5b-i2v").save_pretrained(path)
    return path


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "first.png"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_pictures_are_turned_resized_and_cropped(backbone, tmp_path, caplog):
    """Left half red, right half blue: turned by EXIF the red is above."""
    picture = Image.new("RGB", (64, 32), "red")
    picture.paste("blue", (32, 0, 64, 32))
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn
    picture.save(tmp_path / "turned.png", exif=exif)
    with caplog.at_level("INFO"):
        seen = read_image(backbone, tmp_path / "turned.png", 32, 32)
    assert seen.shape == (3, 32, 32)
    assert (seen[0, :14].mean(), seen[2, 18:].mean()) == (1, 1)
    assert "Image: 64x32 fitted to 32x32" in caplog.text
    assert "--crop" not in caplog.text  # which is the reference's
    for pixels in (seen, (seen * 255).byte().permute(1, 2, 0).numpy()):
        assert read_image(backbone, pixels, 32, 32).equal(seen)


def test_the_reference_is_read_with_its_own_first_frame(backbone, image, reference_video, tmp_path):
    module = fit(backbone, tmp_path, reference_video, data={"image": image}, block=1)
    reference, shape = module.trainer.datamodule.frames, tuple(module.z_ref.shape)
    own = condition_on(backbone, reference[0], shape)
    assert module.reference_condition.equal(own)
    sampled = module.samplers[0].condition
    generator = torch.Generator().manual_seed(module.seed)
    assert sampled.equal(condition_on(backbone, module.image, shape, generator))
    assert not sampled.equal(own)
    # A predict has the reference's latents alone.
    decoded = condition_on_first(backbone, module.z_ref)
    assert decoded.shape == own.shape
    assert decoded[:, 1:].eq(0).all()


def test_the_first_latent_frame_stands_for_the_first_frame(rope, reference_video):
    """As a predict takes it from the embedding, here of a trained VAE."""
    frames = torch.rand(1, 3, 1, 1).expand(5, 3, 32, 32).clone()
    latents = rope.encode_video(frames)
    first = rope.decode_video(latents[:, :1], 1)[0]
    assert (first - frames[0]).abs().mean() < 0.1


@pytest.mark.parametrize("injection", [True, False])
def test_a_predict_makes_the_fits_video(backbone, image, reference_video, tmp_path, injection):
    """But for the reference's first frame, which comes back through the VAE, and half precision."""
    options = {"target": "positions", "block": 1, "num_inference_steps": 2}
    module = fit(
        backbone, tmp_path, reference_video, data={"image": image}, injection=injection, **options
    )
    given = {"prompts": [PROMPT], "data": {"image": image}, "injection": injection}
    (made,) = predict(backbone, tmp_path, **given, **options)
    assert (made - module.videos[0]).abs().max() < (0.5 if injection else 2e-3)


def test_commands_take_an_image(folder, image, reference_video, tmp_path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    common = ["--backbone", str(folder), *FEW, "--prompt", PROMPT]
    command = ["fit", "--video", str(reference_video), *common, "--output", str(out)]
    assert "image is not given, and the videos of" in fails(capsys, *command)
    gone = fails(capsys, *command, "--image", "nowhere.png")
    assert "image=nowhere.png does not exist; give a picture's file" in gone
    assert "is not a picture" in fails(capsys, *command, "--image", __file__)
    assert not out.exists()
    assert main([*command, "--image", str(image)]) == 0
    assert f"image: {image}" in (out / "config.yaml").read_text()
    assert "encoding the image" in capsys.readouterr().out  # in the plan

    other = tmp_path / "other.png"
    Image.new("RGB", (32, 32), "red").save(other)
    resumed = [*command[:-2], "--image", str(other), "--resume", str(out)]
    assert "the checkpoint was made with image=" in fails(capsys, *resumed)

    predicted = ["predict", "--embedding", str(out), "--backbone", str(folder)]
    predicted += ["--prompt", PROMPT, "--output", str(again)]
    assert "use --image" in fails(capsys, *predicted)
    for missing in (1, 0):
        capsys.readouterr()
        assert main([*predicted, "--image", str(image)]) == 0
        assert ("0 are missing" in capsys.readouterr().out) == (not missing)
    assert "was made with another image" in fails(capsys, *predicted, "--image", str(other))

    settings = ["--backbone", str(folder), "--video", str(reference_video), "--num-frames", "9"]
    assert main(["preview", *settings, "--block", "1", "--output", str(tmp_path / "seen")]) == 0
    scored = ["test", "--embedding", str(out), "--backbone", str(folder), "--grid", "8"]
    scored += ["--video", str(reference_video), "--output", str(tmp_path / "scored")]
    assert main([*scored, "--image", str(image)]) == 0


def test_an_image_in_memory(backbone, reference_video, image):
    options = {"steps": 2, "block": 1, "num_frames": 9, "progress": False}
    pixels = np.asarray(Image.open(image))
    made = ditflow.fit(
        reference_video, PROMPT, backbone=backbone, config={}, image=pixels, **options
    )
    (video,) = ditflow.predict(
        made.embedding, PROMPT, backbone=backbone, image=image, progress=False
    )
    assert (video - made.videos[0]).abs().max() < 0.5
    with pytest.raises(DitflowError, match="is no image; give a tensor"):
        ditflow.predict(made.embedding, PROMPT, backbone=backbone, image=torch.rand(2, 2))


def test_a_model_of_text_alone_takes_no_image(rope, image, reference_video):
    with pytest.raises(DitflowError, match="image is given, but sprites-rope.*leave --image out"):
        ditflow.fit(reference_video, PROMPT, backbone=rope, image=image, num_frames=9)


def test_a_folder_tells_whether_it_takes_an_image(folder):
    loaded = load_backbone(str(folder))
    assert isinstance(loaded, CogVideoXImageBackbone)
    assert loaded.latent_shape(9, 32, 32) == (1, 3, 4, 8, 8)
