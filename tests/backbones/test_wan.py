"""Wan: the conformance suite, and what is its own."""

import pytest
import torch

from ditflow import DitflowError, MotionTransfer
from ditflow.backbones.loading import empty_backbone, offload_by_layer
from ditflow.backbones.pretrained import check_scheduler
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.solver import EulerSolver, UniPCSolver, flow_scheduler, solver_of
from ditflow.sampling import Sampler, SamplerOptions
from tests.backbones.conformance import BackboneConformance
from tests.backbones.stock_calls import PROMPT, SEED
from tests.backbones.tiny_wan.loading import load_tiny_wan, tiny_pipeline

CPU = torch.device("cpu")


class WanConformance(BackboneConformance):
    wrong_sizes = (((10, 32, 32), "num_frames"), ((9, 40, 32), "height"), ((9, 32, 4), "width"))

    def blocks(self, pipeline):
        return pipeline.transformer.blocks


class TestWan(WanConformance):
    @pytest.fixture(scope="class")
    def backbone(self):
        return load_tiny_wan()

    @pytest.fixture(scope="class")
    def stock(self):
        return tiny_pipeline()


@pytest.fixture(params=["euler", "two transformers", "timesteps by token"])
def variant(request):
    """Arguments of a pipeline."""
    return {
        "euler": {"euler": True},
        "two transformers": {"transformers": 2},
        "timesteps by token": {"expand_timesteps": True},
    }[request.param]


class TestVariants(WanConformance):
    """Of the suite what they can make a difference to."""

    # The rest is as of the first.
    for name in vars(BackboneConformance):
        if name.startswith("test_") and name not in (
            "test_sampling_equals_the_stock_pipeline_to_the_bit",
            "test_early_exit_gives_a_whole_pass_queries_and_keys",
            "test_a_saved_sampler_goes_on_to_the_bit",
            "test_several_steps_at_once_end_at_the_video_too",
            "test_applied_to_equals_predict",
        ):
            locals()[name] = None
    del name

    @pytest.fixture
    def backbone(self, variant):
        return WanBackbone(tiny_pipeline(**variant), "tiny")

    @pytest.fixture
    def stock(self, variant):
        return tiny_pipeline(**variant)


# -- the solver ----------------------------------------------------------------------------------


def response(shift: float, replaced: bool) -> float:
    """How much of a change of z_t the next two steps keep, with the prediction held, as a share of
    what they would without a corrector."""
    scheduler = flow_scheduler(flow_scheduler_of(), "unipc", shift)
    generator = torch.Generator().manual_seed(0)
    noise, change, *predictions = torch.randn(6, 1, 2, 4, 4, 4, generator=generator)

    def end(changed: torch.Tensor | None, corrected: bool) -> torch.Tensor:
        solver = solver_of(scheduler, 20, CPU)
        latents = noise
        for step, prediction in enumerate(predictions):
            if step == 3 and changed is not None:
                latents = latents + changed
                if replaced:
                    solver.replaced()
            if not corrected:
                solver.scheduler.last_sample = None
            latents = solver.step(step, latents, prediction, torch.Generator())
        return latents

    change = 0.1 * change
    # Both with what a step without a corrector would make of all steps before.
    plain = end(change, corrected=False) - end(None, corrected=False)
    own = end(change, corrected=True) - end(torch.zeros_like(change), corrected=True)
    return ((own * plain).sum() / plain.square().sum()).item()


def flow_scheduler_of():
    return tiny_pipeline().scheduler


@pytest.mark.parametrize("shift", [0.3, 3.0, 5.0])
def test_a_replaced_z_t_survives_unipc(shift):
    assert 0.95 < response(shift, replaced=True) < 1.05
    assert response(shift, replaced=False) < 0.3  # which is what the stock corrector leaves


def test_optimised_latents_move_the_steps_after_them():
    """As the sampler replaces them, and as the pipeline's hooks do."""
    backbone = load_tiny_wan()
    shape = backbone.latent_shape(9, 32, 32)
    positions = backbone.positions(shape)
    ends = []
    for moved in (0.0, 0.1):
        sampler = Sampler(backbone, SamplerOptions(8, 1.0), PROMPT, SEED, shape)
        for step in range(4):
            prediction = sampler.predict(step, positions)
            if step == 2:
                sampler.replace(sampler.latents + moved + 1e-4)
            sampler.advance(step, prediction)
        ends.append(sampler.latents)
    left = (ends[1] - ends[0]).mean() / 0.1
    sigmas = backbone.solver(8).sigmas
    assert left > 0.9 * sigmas[4] / sigmas[2]


@pytest.mark.parametrize("euler", [False, True])
def test_strides_are_near_the_steps_they_stand_for(euler):
    """Along a flow that is known, with steps of one and of three."""
    solver = solver_of(tiny_pipeline(euler=euler).scheduler, 30, CPU)
    assert isinstance(solver, EulerSolver if euler else UniPCSolver)
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 2, 4, 4, 4, generator=generator)

    def velocity(latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Of Gaussian data around `clean`: its flow curves."""
        alpha, spread = 1 - sigma, 0.3
        variance = (alpha * spread) ** 2 + sigma**2
        x0 = clean + alpha * spread**2 / variance * (latents - alpha * clean)
        return (latents - x0) / sigma

    def end(jump: int) -> torch.Tensor:
        solver = solver_of(tiny_pipeline(euler=euler).scheduler, 30, CPU)
        latents = noise
        for step in range(0, 30, jump):
            prediction = velocity(latents, solver.sigmas[step])
            latents = solver.step(step, latents, prediction, torch.Generator(), jump)
        return latents

    exact = clean + 0.3 * noise  # the flow scales deviations from σ to the data's spread
    one, three = ((end(jump) - exact).norm().item() for jump in (1, 3))
    assert one < three < (0.5 if euler else 0.25) * exact.norm()


def test_a_scheduler_of_another_kind_is_refused():
    scheduler = tiny_pipeline().scheduler
    other = type(scheduler).from_config(scheduler.config, solver_order=3)
    with pytest.raises(DitflowError, match="UniPCMultistepScheduler.*scheduler unipc or euler"):
        solver_of(other, 4, CPU)


def test_a_flow_shift_that_is_none_is_refused():
    with pytest.raises(DitflowError, match="flow_shift=-3.* must be positive"):
        check_scheduler({"name": "wan", "scheduler": "own", "flow_shift": -3.0}, (), shifts=True)


# -- two transformers ----------------------------------------------------------------------------


def test_a_guided_share_beyond_the_boundary_is_refused_with_the_largest():
    backbone = WanBackbone(tiny_pipeline(transformers=2), "two")
    # σ of 20 steps at shift 3 is 0.8 after 8 of them.
    MotionTransfer(backbone, block=1, num_inference_steps=20, guided_share=0.4)
    with pytest.raises(DitflowError, match=r"guided_share=0.5 guides 10.*use guided_share=0.45 or"):
        MotionTransfer(backbone, block=1, num_inference_steps=20, guided_share=0.5)
    MotionTransfer(load_tiny_wan(), block=1, num_inference_steps=20, guided_share=1.0)


def test_the_first_transformer_reads_the_reference_and_the_second_denoises_below():
    backbone = WanBackbone(tiny_pipeline(transformers=2), "two")
    ran: list[str] = []
    for name in ("transformer", "transformer_2"):
        part = getattr(backbone.pipeline, name)
        part.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    shape = backbone.latent_shape(9, 32, 32)
    sampler = Sampler(backbone, SamplerOptions(4, 1.0), PROMPT, SEED, shape)
    backbone.query_key(
        sampler.given(0, sampler.latents, backbone.positions(shape))._replace(timestep=0), 1
    )
    assert ran == ["transformer"]
    with backbone.block_cache(0.1):
        for step in range(4):
            sampler.advance(step, sampler.predict(step, backbone.positions(shape)))
    above = [timestep >= 800 for timestep in sampler.timesteps.tolist()]
    assert ran[1:] == ["transformer" if it else "transformer_2" for it in above]
    assert {True, False} == set(above)


@pytest.mark.parametrize("transformers", [1, 2])
def test_layers_that_come_one_by_one_change_nothing(transformers):
    plain, by_layer = (WanBackbone(tiny_pipeline(transformers=transformers), "x") for _ in "12")
    offload_by_layer(by_layer.pipeline, CPU)
    by_layer.options["offload"] = "group"
    made = []
    for backbone in (plain, by_layer):
        shape = backbone.latent_shape(9, 32, 32)
        positions = backbone.positions(shape)
        sampler = Sampler(backbone, SamplerOptions(4, 3.0), PROMPT, SEED, shape)
        parameter = sampler.latents.clone().requires_grad_()
        backbone.query_key(sampler.given(0, parameter, positions), 1).query.sum().backward()
        for step in range(4):
            sampler.advance(step, sampler.predict(step, positions).detach())
        made.append((parameter.grad, backbone.decode_video(sampler.latents, 9)))
    assert all(map(torch.equal, *made))


# -- positions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", [(81, 480, 832), (49, 720, 1280)]),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", [(121, 704, 1280), (61, 480, 832)]),
    ],
)
def test_coordinates_give_the_stock_table_at_full_size(name, sizes):
    backbone = empty_backbone(name)
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    rope = WanRotaryPosEmbed(128, (1, 2, 2), 1024)  # whose table is no weight
    backbone.transformer.rope, backbone.device = rope, CPU
    assert backbone.default_size() == sizes[0]
    for size in sizes:
        shape = backbone.latent_shape(*size)
        made = backbone.positions_at(backbone.coordinates(shape))
        for ours, stock in zip(made, backbone.positions(shape), strict=True):
            torch.testing.assert_close(ours, stock, atol=1e-6, rtol=0)
