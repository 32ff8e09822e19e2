"""FlowMotion through the loop of a fit, against the published algorithm written out."""

from itertools import combinations

import pytest
import torch

from ditflow import DitflowError, MotionDataModule, MotionEmbedding, MotionTransfer
from ditflow.assembly.run import Run
from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.callbacks import KVInjection
from ditflow.learning_rates import LearningRates
from ditflow.objectives import FlowMotion
from tests.conftest import tiny_pipeline
from tests.test_module import FEW, OTHER, PROMPT, fit, predict, recorded

RATES = LearningRates(prediction=(0.05, 0.05))
NEGATIVE = "a blue ring on a black background"
SHORT = {"num_frames": 9}


def published(backbone, z_ref, prompt, seed, steps, guided, adam_steps, rate, scale):
    """z_t of the last guided step, and all losses, by the algorithm as it is published; a
    v-prediction says z_0 = α z_t - σ v."""
    shape, solver = tuple(z_ref.shape), backbone.solver(steps)
    positions, alphas = backbone.positions(shape), backbone.pipeline.scheduler.alphas_cumprod
    negative, losses = backbone.encode_prompt(NEGATIVE), []

    def velocity(z, t, prompt, scale):
        given = PassInput(z, t, backbone.encode_prompt(prompt), positions)
        with torch.no_grad():
            conditional = backbone.denoise(given, None, 1.0)
            unconditional = backbone.denoise(given._replace(prompt=negative), None, 1.0)
        return unconditional + scale * (conditional - unconditional)

    generator = torch.Generator().manual_seed(seed)
    start = z = torch.randn(shape, generator=generator)
    for step in range(guided):
        t = solver.timesteps[step]
        alpha, sigma = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
        fresh = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1 + step))
        noised = alpha * z_ref + sigma * fresh
        theirs = alpha * noised - sigma * velocity(noised, t, "", 1.5)
        z = z.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=rate)
        for _ in range(adam_steps):
            v = velocity(z.detach(), t, prompt, scale)
            if step > 0 and not solver.stochastic:
                mean = (z - start).detach()
                along = (v * mean).sum(2, keepdim=True) / mean.square().sum(2, keepdim=True) * mean
                v = along + 0.1 * (v - along)
            ours = alpha * z - sigma * v
            loss = 20 * (ours - theirs).square().mean()
            pairs = list(combinations(range(shape[1]), 2))
            for i, j in pairs:
                change = (ours[:, i] - ours[:, j]).abs() - (theirs[:, i] - theirs[:, j]).abs()
                loss = loss + 5 * change.square().mean() / len(pairs)
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        z = z.detach()
        last, z = z, solver.step(step, z, velocity(z, t, prompt, scale), generator)
    return last, losses


def test_a_fit_is_the_published_algorithm(sprites, tmp_path, reference_video):
    objective, losses = recorded(FlowMotion())
    module = fit(
        sprites,
        tmp_path,
        reference_video,
        injection=False,
        objective=objective,
        learning_rates=RATES,
        negative_prompt=NEGATIVE,
        guidance_scale=3.0,
        seed=3,
        data=SHORT,
    )
    latents, expected = published(sprites, module.z_ref, PROMPT, 3, 6, 3, 2, 0.05, 3.0)
    assert losses == pytest.approx(expected, rel=1e-4)
    # Adam makes whole steps of gradients that are all but 0, with the sign of their rounding.
    away = (module.finished[-1] - latents).abs()
    assert away.mean() < 1e-4
    assert (away < 1e-3).float().mean() > 0.999
    assert all(losses[2 * step + 1] < losses[2 * step] for step in (1, 2))


def test_no_graph_goes_through_the_network(rope, tmp_path, reference_video):
    recording = []
    handle = rope.transformer.register_forward_hook(
        lambda _m, _i, output: recording.append(torch.is_grad_enabled() or output[0].requires_grad)
    )
    try:
        fit(rope, tmp_path, reference_video, objective=FlowMotion(), data=SHORT)
    finally:
        handle.remove()
    # Both branches are one pass: of the reference, of 2 Adam steps and of denoising, 3 times, and
    # the rest. KV injection's own end before they give anything.
    assert recording == [False] * (3 * (1 + 2 + 1) + 3)


def test_several_prompts_predict_and_the_stock_pipeline(rope, tmp_path, reference_video):
    sampling = {"guidance_scale": 3.0, "seed": 4}
    options = sampling | {"injection": False, "learning_rates": RATES, "data": SHORT}
    module, one = (
        fit(rope, tmp_path / folder, reference_video, prompts, objective=FlowMotion(), **options)
        for folder, prompts in (("both", [PROMPT, OTHER]), ("one", [OTHER]))
    )
    torch.testing.assert_close(module.parameter[1:], one.parameter, atol=1e-3, rtol=0)
    again = predict(rope, tmp_path / "both", [PROMPT, OTHER], injection=False, **sampling)
    assert all(map(torch.equal, again, module.videos))
    embedding = MotionEmbedding.load(tmp_path / "both" / "motion.safetensors")
    assert embedding.header.objective == "FlowMotion"
    length, options = rope.prompt_length, embedding.call_arguments() | {"output_type": "pt"}
    with embedding.applied_to(rope, prompt=OTHER) as pipeline:
        video = pipeline(OTHER, max_sequence_length=length, **options).frames[0]
    assert torch.equal(video, module.videos[1])


def test_injection_may_stand_beside_it(rope, tmp_path, reference_video):
    plain, injected = (
        fit(rope, tmp_path, reference_video, injection=on, objective=FlowMotion(), data=SHORT)
        for on in (False, True)
    )
    assert (plain.videos[0] - injected.videos[0]).abs().max() > 0.01


def test_positions_are_refused(rope):
    with pytest.raises(DitflowError, match="target=positions: FlowMotion.*target=latents"):
        MotionTransfer(rope, target="positions", objective=FlowMotion())


def test_a_mask_is_refused(rope, reference_video):
    module = MotionTransfer(rope, objective=FlowMotion(), **FEW)
    with pytest.raises(DitflowError, match="FlowMotion compares whole frames and takes no mask"):
        module.encode_reference(torch.rand(9, 3, 64, 64), mask=torch.ones(9, 64, 64))


def test_a_family_that_tells_no_clean_prediction_is_refused_before_a_fit(reference_video):
    pipeline = tiny_pipeline("2b")
    pipeline.scheduler.register_to_config(prediction_type="epsilon")
    module = MotionTransfer(
        CogVideoXBackbone(pipeline, "tiny"), objective=FlowMotion(), **FEW | {"block": 1}
    )
    data = MotionDataModule(video=reference_video, prompts=[PROMPT])
    with pytest.raises(DitflowError, match="CogVideoXDDIMScheduler tells no clean prediction"):
        Run(module, data, KVInjection(enabled=False)).check_fit()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_weight": -1}, "prediction_weight=-1"),
        ({"distance_weight": float("nan")}, "distance_weight=nan"),
        ({"velocity_damping": 1.5}, "velocity_damping=1.5 must be 0 to 1"),
        ({"reference_guidance": 0.5}, "reference_guidance=0.5"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(DitflowError, match=message):
        FlowMotion(**options)
