"""Plans against what really happens at tiny sizes, and for the published models."""

import pytest
import torch

from ditflow import load_backbone
from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.loading import empty_backbone
from ditflow.cli import main
from ditflow.objectives import (
    AttentionMotionFlow,
    FlowMotion,
    MotionFeature,
    SpatialMarginalMean,
)
from ditflow.plan.cost import cost
from ditflow.plan.fitting import Planner, advise
from ditflow.plan.live_memory import LiveMemory
from ditflow.plan.phases import Work, phases
from ditflow.plan.recipe import prepare
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.settings.stacked import read_settings


def work(**changes) -> Work:
    settings = {"num_frames": 25, "height": 64, "width": 64, "block": 6}
    options = {"dtype": torch.float32, "objective": AttentionMotionFlow()}
    return Work(**options | settings | changes)


def real_peak(backbone: CogVideoXBackbone, planned: Work) -> int:
    """Bytes that one real optimisation step holds at most, weights apart."""
    shape = backbone.latent_shape(planned.num_frames, planned.height, planned.width)
    prompt = backbone.encode_prompt("a red circle on a gray background")
    positions = backbone.positions(shape)
    read = getattr(backbone, planned.objective.reads)
    reference = planned.objective.reference(
        read(PassInput(torch.randn(shape), 0, prompt, positions), planned.block)
    )
    with LiveMemory() as live:
        parameter = torch.nn.Parameter(torch.randn(shape))
        optimizer = torch.optim.Adam([parameter])
        recorded = backbone.record_key_values(PassInput(torch.randn(shape), 500, prompt, positions))
        with backbone.injected(recorded):
            outputs = read(PassInput(parameter, 500, prompt, positions), planned.block)
        planned.objective.loss(outputs, reference).backward()
        optimizer.step()
    return live.peak


@pytest.mark.parametrize(
    ("name", "objective", "checkpointing", "size"),
    [
        ("sprites-rope", AttentionMotionFlow, False, (25, 64, 64)),
        ("sprites-rope", AttentionMotionFlow, True, (9, 96, 64)),
        ("sprites-sincos", AttentionMotionFlow, True, (25, 64, 64)),
        ("sprites-rope", SpatialMarginalMean, False, (9, 96, 64)),
        ("sprites-sincos", MotionFeature, True, (25, 64, 64)),
    ],
)
def test_the_optimisation_needs_what_was_planned(name, objective, checkpointing, size):
    """Two depths of fake tensors tell a real run's peak at another depth."""
    backbone = load_backbone(name, gradient_checkpointing=checkpointing)
    frames, height, width = size
    planned = work(
        num_frames=frames,
        height=height,
        width=width,
        gradient_checkpointing=checkpointing,
        objective=objective(),
    )
    found = {phase.name: phase.working for phase in phases(empty_backbone(name).shapes(), planned)}
    real = real_peak(backbone, planned)
    assert found["optimising, block 6"] == pytest.approx(real, rel=0.1)


def test_optimising_by_the_prediction_needs_what_was_planned():
    rope, objective = load_backbone("sprites-rope"), FlowMotion()
    planned = work(objective=objective, num_frames=9)
    found = {phase.name: phase.working for phase in phases(rope.shapes(), planned)}
    shape = rope.latent_shape(9, 64, 64)
    prompt, positions = rope.encode_prompt("x"), rope.positions(shape)
    theirs = torch.randn(shape)[0]
    sampler = Sampler(rope, SamplerOptions(4, 3.0), "x", 0, shape)
    with LiveMemory() as live:
        parameter = torch.nn.Parameter(sampler.latents.clone())
        optimizer = torch.optim.Adam([parameter])
        outputs = sampler.read(objective, 6, 1, parameter, positions)
        objective.loss(outputs, theirs).backward()
        optimizer.step()
    assert found["optimising"] == pytest.approx(live.peak, rel=0.1)
    given = PassInput(sampler.latents, torch.tensor(500), prompt, positions)
    with LiveMemory() as live:
        rope.denoise(given, prompt, 3.0)
    assert found["reading its prediction"] == pytest.approx(live.peak, rel=0.1)
    whole = prepare(read_settings("sprites-rope", "flowmotion")).passes
    # 8 blocks, two branches; at 5 guided steps 3 Adam steps and the reference's pass.
    assert (whole.sampling, whole.forward, whole.optimising) == (400, 16 * 5 * 4, 0)


@pytest.mark.parametrize("split", [False, True])
def test_encoding_denoising_and_decoding_need_what_was_planned(split):
    rope = load_backbone("sprites-rope", split_guidance=split)
    planned = work(split_guidance=split)
    found = {phase.name: phase.working for phase in phases(rope.shapes(), planned)}
    shape = rope.latent_shape(25, 64, 64)
    prompt, positions = rope.encode_prompt("x"), rope.positions(shape)
    latents, timestep = torch.randn(shape), torch.tensor(500)
    for name, real_work in {
        "encoding the reference": lambda: rope.encode_video(torch.rand(25, 3, 64, 64)),
        "denoising": lambda: rope.denoise(
            PassInput(latents, timestep, prompt, positions), prompt, 3.0
        ),
        "decoding": lambda: rope.decode_video(latents, 25),
    }.items():
        with LiveMemory() as live:
            real_work()
        assert found[name] == pytest.approx(live.peak, rel=0.05), name


def test_a_published_model_needs_no_files():
    """At full size, within what its arithmetic says of weights and of saved activations."""
    settings = read_settings("cogvideox-5b")
    planned = Work(torch.bfloat16, 21, 480, 720, 20, settings.model["objective"])
    planner = Planner(empty_backbone("THUDM/CogVideoX-5b").shapes(), planned)
    plain = planner.plan({})
    billions = 4.76 + 0.22 + 5.57  # text encoder, VAE, transformer, as published
    assert plain.resident[0] == pytest.approx(2e9 * billions, rel=0.002)
    tokens, width = 226 + 6 * 30 * 45, 48 * 64
    activation = tokens * width * 2
    saving = planner.plan({"gradient_checkpointing": True, "offload": "model"})
    optimising = [phase.name for phase in plain.phases].index("optimising, block 20")
    per_block = (plain.phases[optimising].working - saving.phases[optimising].working) / 20
    assert 8 * activation < per_block < 25 * activation
    assert saving.peak < 16 * 2**30 < plain.peak
    # A backward pass is one forward of matrix products, and two and a half of attention.
    passes = cost(42, 20, 50, 10, 5, injected_steps=10)
    assert passes.ratio(plain.passes) == pytest.approx(1.59, abs=0.01)
    assert passes.ratio(saving.passes) == pytest.approx(1.83, abs=0.01)


def test_advice_adds_what_is_cheapest_first():
    planner = Planner(empty_backbone("sprites-rope").shapes(), work(), cache=True)
    plan = planner.plan({})
    assert advise(planner, plan, plan.peak, gpu=False) is plan
    better = advise(planner, plan, plan.peak - 1, gpu=True)
    assert better.options == {"offload": "model"}
    better = advise(planner, plan, plan.peak - 1, gpu=False)
    assert better.options == {"vae_tiling": True}
    assert better.peak < plan.peak
    assert advise(planner, plan, 1000, gpu=True) is None


@pytest.mark.slow
def test_advice_leaves_out_what_is_not_needed():
    """The optimisation is the largest phase here: neither tiles nor branches apart help it."""
    planner = Planner(
        empty_backbone("sprites-rope").shapes(), work(block=7, num_frames=97, height=128, width=128)
    )
    plan = planner.plan({"vae_tiling": True})
    assert max(plan.phases, key=lambda phase: phase.working).name == "optimising, block 7"
    better = advise(planner, plan, plan.peak * 2 // 3, gpu=True)
    assert better.options == {"vae_tiling": True, "gradient_checkpointing": True}


def test_cost_counts_the_passes_of_the_paper():
    """5B: 50 steps of both branches through 42 blocks, 10 of them guided by 5 steps to block 20."""
    passes = cost(42, 20, 50, 10, 5, injected_steps=10)
    assert (passes.sampling, passes.forward, passes.optimising) == (4200, 30, 1000)
    assert passes.ratio(2) == pytest.approx(1.48, abs=0.01)
    assert cost(42, 20, 50, 10, 0, guidance=False).sampling == 2100
    # Sinusoidal ρ is recorded anew before each of 5 Adam steps and for the denoising step.
    assert cost(30, 15, 50, 10, 5, injected_steps=10, renewed=True).forward == 15 + 60
    assert cost(8, 6, 25, 8, 5, injected_steps=2, injected_block=5).forward == 6 + 12


def test_the_command(capsys):
    assert main(["plan", "--num-frames", "14", "--height", "32"]) == 0
    out = capsys.readouterr().out
    assert "sprites-rope, 13 frames of 32x64, float32" in out
    assert "It fits" in out
    stacked = ["--config", "sprites-sincos", "--config", "ditflow-positions"]
    assert main(["plan", *stacked, "--memory", "0.01"]) == 1
    out = capsys.readouterr().out
    assert "sprites-sincos" in out
    assert "does not fit" in out


def test_a_preset_may_name_neither_backbone_nor_objective():
    planner = prepare(read_settings("ditflow-positions")).planner
    assert isinstance(planner.work.objective, AttentionMotionFlow)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--memory", "-1"], "memory=-1"),
        (["--height", "60"], "height=60"),
        (["--config", "nothing"], "config=nothing"),
    ],
)
def test_bad_input(args, expected, capsys):
    assert main(["plan", *args]) == 2
    assert expected in capsys.readouterr().err
