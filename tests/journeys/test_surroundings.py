"""Whatever a process has set for all of its libraries, results are the same, and it stays set."""

import locale
import logging
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import ditflow
from ditflow.backbones.kernels import check_compiler
from ditflow.errors import DitflowError
from tests.journeys.conftest import PROMPT

FEW = {"steps": 2, "optimization_steps": 2, "num_frames": 9, "cache": False, "progress": False}


def made(video: Path) -> list[torch.Tensor]:
    """A fit's videos, and a predict's."""
    fitted = ditflow.fit(video, PROMPT, target="positions", **FEW)
    return [*fitted.videos, *ditflow.predict(fitted.embedding, "a red ring", progress=False)]


def state() -> dict[str, object]:
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),
        "python": random.getstate(),
        "warnings": list(warnings.filters),
        "logging": [
            logging.getLogger(name).level for name in ("", "lightning.pytorch", "diffusers")
        ],
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "folder": Path.cwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
    }


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """All of it set at once."""
    before = state()
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(), torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        warnings.simplefilter("error")
        logging.getLogger("diffusers").setLevel(logging.DEBUG)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_num_threads(2)
        locale.setlocale(locale.LC_ALL, "C.utf8")
        yield
        logging.getLogger("diffusers").setLevel(before["logging"][2])
        torch.set_default_dtype(before["dtype"])
        torch.set_default_device(None)
        torch.set_num_threads(before["threads"])
        locale.setlocale(locale.LC_ALL, before["locale"])


@pytest.fixture(scope="module")
def usual(reference_video) -> list[torch.Tensor]:
    return made(reference_video)


def test_results_are_the_same_and_nothing_is_changed(usual, odd, reference_video):
    before = state()
    videos = made(reference_video)
    assert state() == before
    for video, expected in zip(videos, usual, strict=True):
        torch.testing.assert_close(video, expected, atol=1e-3, rtol=0)


def test_tiles_fit_together_at_any_size():
    backbone = ditflow.load_backbone(vae_tiling=True)
    for height, width in ((64, 64), (72, 40), (48, 104)):
        latents = backbone.encode_video(torch.rand(5, 3, height, width))
        assert tuple(latents.shape) == backbone.latent_shape(5, height, width)
        assert backbone.decode_video(latents, 5).shape == (5, 3, height, width)


def test_without_a_compiler_blocks_are_not_compiled(monkeypatch):
    def missing(*_):
        raise RuntimeError("no g++")

    monkeypatch.setattr(torch, "compile", missing)
    with pytest.raises(DitflowError, match="compile_blocks=True needs a compiler.*no g"):
        check_compiler(torch.device("cpu"))
