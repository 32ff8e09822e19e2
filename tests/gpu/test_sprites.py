"""Fits and predicts of the embedded models on a GPU against a CPU's, through the Python functions.

They agree but for the order of sums, which Adam makes more of from step to step.
"""

import pytest
import torch

import ditflow
from ditflow import load_backbone
from ditflow.backbones import Backbone
from ditflow.sprites.measure import motion_agreement
from ditflow.sprites.render import render
from tests.conftest import straight_clip

pytestmark = pytest.mark.gpu

PROMPT, OTHER = "a blue square on a white background", "a yellow circle on a navy background"


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return render([straight_clip()])[0]


@pytest.fixture(
    scope="module",
    params=[
        ("sprites-rope", "latents", "values"),
        ("sprites-rope", "positions", "coordinates"),
        ("sprites-sincos", "positions", "values"),
    ],
    ids=lambda param: " ".join(param),
)
def case(request) -> tuple[str, str, str]:
    return request.param


@pytest.fixture(scope="module")
def backbones(case, device) -> tuple[Backbone, Backbone]:
    """On a CPU, and on the device; on another CPU with sums in another order."""
    other = {"attention": "math"} if device.type == "cpu" else {}
    return (
        load_backbone(case[0], device="cpu"),
        load_backbone(case[0], device=str(device), **other),
    )


@pytest.fixture(scope="module")
def fits(case, backbones, frames) -> list[ditflow.Fit]:
    name, target, parameterization = case
    return [
        ditflow.fit(
            frames,
            PROMPT,
            config=name,
            target=target,
            parameterization=parameterization,
            backbone=backbone,
            progress=False,
        )
        for backbone in backbones
    ]


def test_a_fit_is_the_cpus(fits, frames):
    here, there = fits
    torch.testing.assert_close(there.losses[:5], here.losses[:5], rtol=1e-3, atol=0)
    torch.testing.assert_close(there.losses, here.losses, rtol=0.1, atol=0)
    assert there.losses[-1] < there.losses[0]
    assert (there.videos[0] - here.videos[0]).abs().mean() < 0.02
    agreement = [motion_agreement(made.videos[0], frames) for made in fits]
    assert agreement[1] == pytest.approx(agreement[0], abs=0.05)
    assert agreement[1] > 0.5


def test_a_predict_is_the_cpus(fits, backbones):
    """Of one embedding, made on either."""
    for made in fits:
        here, there = (
            ditflow.predict(made.embedding, OTHER, backbone=backbone, progress=False)[0]
            for backbone in backbones
        )
        assert (there - here).abs().mean() < 1e-3
