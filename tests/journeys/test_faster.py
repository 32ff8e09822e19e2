"""Options that trade exactness for speed, each against what it should equal."""

import pytest
import torch

from ditflow import DitflowError, MotionTransfer
from ditflow.sampling import SamplerOptions
from tests.test_module import FEW, PROMPT, fit, predict

SIZE = (9, 32, 32)


def sampled(backbone, **options):
    """z_0 of plain sampling, no step of it guided."""
    module = MotionTransfer(backbone, block=1, **options)
    module.progress = False
    sampler = module.sampler(PROMPT, 0, backbone.latent_shape(*SIZE))
    with torch.no_grad():
        return module.denoise_rest(sampler, 0)


def test_striding_through_all_steps_is_sampling_with_fewer(tiny):  # DDIM and DPM
    strided = sampled(tiny, num_inference_steps=8, unguided_stride=2)
    assert (strided == sampled(tiny, num_inference_steps=4)).all()
    assert not (strided == sampled(tiny, num_inference_steps=8)).all()


def test_strides_go_to_the_very_end():
    options = SamplerOptions(num_steps=10, unguided_stride=3)
    assert list(options.unguided(3)) == [(3, 3), (6, 3), (9, 1)]
    assert options.taken(3) == 6
    assert SamplerOptions(num_steps=10).taken(3) == 10


def test_a_cache_computes_the_first_block_alone_while_little_changes(tiny):
    exact = sampled(tiny, num_inference_steps=4)
    ran = []
    handles = [
        block.attn1.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(tiny.transformer.transformer_blocks)
    ]
    cached = sampled(tiny, num_inference_steps=4, unguided_cache=0.99)
    for handle in handles:
        handle.remove()
    assert ran == [0, 1, 2, 0, 0, 0]
    assert not (cached == exact).all()
    assert (sampled(tiny, num_inference_steps=4, unguided_cache=1e-6) == exact).all()
    # And nothing of it stays.
    assert (sampled(tiny, num_inference_steps=4) == exact).all()
    assert not tiny.transformer.is_cache_enabled


def test_a_cache_is_gone_after_an_exception(tiny):
    with pytest.raises(RuntimeError, match="stop"), tiny.block_cache(0.1):
        raise RuntimeError("stop")
    assert not tiny.transformer.is_cache_enabled


@pytest.mark.parametrize("cache", [0.0, 0.3])
def test_branches_one_after_the_other_predict_the_same(tiny, cache):
    together = sampled(tiny, num_inference_steps=3, unguided_cache=cache)
    tiny.options = tiny.options | {"split_guidance": True}
    apart = sampled(tiny, num_inference_steps=3, unguided_cache=cache)
    if cache == 0:
        torch.testing.assert_close(apart, together, atol=1e-4, rtol=1e-4)
    else:
        assert apart.isfinite().all()


def test_reused_gradients_are_adam_steps_with_one_gradient(rope, tmp_path, reference_video):
    """Against Adam by hand: two gradients, of which the first takes two steps."""
    options = FEW | {"num_inference_steps": 6, "guided_share": 0.1, "optimization_steps": 3}
    fitted = fit(
        rope, tmp_path, reference_video, injection=False, gradient_reuse=2, **options
    ).finished[0]
    again = fit(rope, tmp_path / "again", reference_video, injection=False, **options)
    sampler = again.sampler(PROMPT, 0, tuple(again.reference_latents.shape))
    parameter = torch.nn.Parameter(sampler.latents.clone())
    optimizer = torch.optim.Adam([parameter], lr=again.rates[0])
    for steps in (2, 1):
        optimizer.zero_grad()
        given = sampler.given(0, parameter, rope.positions(tuple(parameter.shape)))
        outputs = rope.query_key(given, options["block"])
        again.objective.loss(outputs, again.reference_motion).backward()
        for _ in range(steps):
            optimizer.step()
    assert (fitted == parameter).all()
    assert not (fitted == again.finished[0]).all()


@pytest.mark.parametrize("target", ["latents", "positions"])
def test_predict_repeats_a_faster_fit(rope, tmp_path, reference_video, target):
    faster = {"gradient_reuse": 2, "unguided_stride": 2, "unguided_cache": 0.1, "target": target}
    module = fit(rope, tmp_path, reference_video, injection=False, **faster)
    del faster["gradient_reuse"], faster["target"]
    again = predict(rope, tmp_path, prompts=[PROMPT], injection=False, **faster)[0]
    tolerance = 0 if target == "latents" else 1e-5
    assert (again - module.videos[0]).abs().max() <= tolerance


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("gradient_reuse", 0),
        ("unguided_stride", 0),
        ("unguided_cache", 1.5),
        ("unguided_cache", -1),
    ],
)
def test_refuses_what_is_out_of_range(tiny, option, value):
    with pytest.raises(DitflowError, match=f"{option}={value}"):
        MotionTransfer(tiny, block=1, **{option: value})
