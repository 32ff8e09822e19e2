"""The example scripts, run as a user would."""

import runpy

import pytest
import torch

from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.video.reading import read_video
from tests.embedding.test_header import HEADER

SCRIPT = "ditflow.examples.reuse_motion"


def short_embedding(backbone) -> MotionEmbedding:
    """Of positions pushed a token to the right at the first of two steps."""
    shape = tuple(backbone.latent_shape(9, 64, 64))
    own = backbone.pipeline.scheduler
    sampler = own.from_config(own.config, timestep_spacing="trailing")
    sampler.set_timesteps(2)
    fields = {
        **vars(HEADER),
        "fingerprint": backbone.fingerprint(),
        "height": 64,
        "width": 64,
        "latent_shape": shape,
        "scheduler": type(sampler).__name__,
        "timesteps": tuple(sampler.timesteps.tolist()),
        "model": HEADER.model | {"dynamic_guidance": False, "negative_prompt": ""},
    }
    pushed = torch.zeros(1, *backbone.coordinates(shape).shape)
    pushed[..., 2] = 1
    return MotionEmbedding(EmbeddingHeader(**fields), {"positions": pushed})


def test_a_motion_is_reused_with_no_network(rope, tmp_path, monkeypatch, capsys):
    short_embedding(rope).save(tmp_path / "motion.safetensors")
    monkeypatch.chdir(tmp_path)
    given = ["motion.safetensors", "--prompts", '["a red ring on a black background"]']
    monkeypatch.setattr("sys.argv", ["reuse_motion.py", *given])
    runpy.run_module(SCRIPT, run_name="__main__")
    assert capsys.readouterr().out == "reused/0.mp4: a red ring on a black background\n"
    assert read_video(tmp_path / "reused" / "0.mp4").shape == (9, 64, 64, 3)
    monkeypatch.setattr("sys.argv", ["reuse_motion.py", "missing.safetensors"])
    with pytest.raises(SystemExit, match="missing.safetensors does not exist"):
        runpy.run_module(SCRIPT, run_name="__main__")
