"""What offloading brings to a device and when, against the plan."""

import pytest
import torch
from accelerate.hooks import CpuOffload

from ditflow import MotionDataModule, MotionTransfer, load_backbone
from ditflow.backbones.base import Backbone, PassInput
from ditflow.backbones.shapes import brought_by_layer
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan.fitting import Planner, resident_bytes
from ditflow.plan.live_memory import LiveMemory
from ditflow.plan.phases import Phase, Work, phases
from ditflow.preview.motion import read_motion
from ditflow.reference import read_reference
from ditflow.video.reading import FrameRange
from tests.backbones.tiny_wan.loading import tiny_pipeline
from tests.test_module import FEW, OTHER, PROMPT, fit, make_trainer

FIT = ["text encoder", "VAE", "transformer", "VAE"]
COMPONENTS = {
    "T5EncoderModel": "text encoder",
    "AutoencoderKLCogVideoX": "VAE",
    "CogVideoXTransformer3DModel": "transformer",
    "UMT5EncoderModel": "text encoder",
    "AutoencoderKLWan": "VAE",
    "WanTransformer3DModel": "transformer",
}


def component(part: torch.nn.Module) -> str:
    """Of a plan; of two transformers the second is marked."""
    return getattr(part, "marked", COMPONENTS[type(part).__name__])


def offloaded(name: str = "sprites-rope") -> Backbone:
    """A backbone with the hooks that model offloading has on a GPU."""
    backbone = load_backbone(name)
    backbone.pipeline.enable_model_cpu_offload(device="cpu")
    return backbone


def wan(transformers: int) -> WanBackbone:
    pipeline = tiny_pipeline(transformers=transformers)
    if transformers > 1:
        pipeline.transformer_2.marked = "second transformer"
    return WanBackbone(pipeline, f"Wan of {transformers}")


@pytest.fixture
def there(monkeypatch) -> list[set[str]]:
    """What is on the device, each time that it changes by something that comes: on the CPU, where
    nothing moves, hooks are followed by what they would do."""
    now, seen = set(), []
    own_bring, own_send = CpuOffload.pre_forward, CpuOffload.init_hook

    def bring(hook, module, *args, **kwargs):
        if hook.prev_module_hook is not None:  # this one would be sent away
            now.discard(component(hook.prev_module_hook.model))
        now.add(component(module))
        if seen[-1:] != [now]:
            seen.append(set(now))
        return own_bring(hook, module, *args, **kwargs)

    def send_away(hook, module):
        now.discard(component(module))
        return own_send(hook, module)

    monkeypatch.setattr(CpuOffload, "pre_forward", bring)
    monkeypatch.setattr(CpuOffload, "init_hook", send_away)
    return seen


def test_parts_come_one_at_a_time_in_the_order_of_the_plan(there, rope, tmp_path, reference_video):
    """A fit of several prompts, twice, then a predict; and the bits are those of no offloading."""
    backbone, data = offloaded(), {"num_frames": 9, "cache": False}
    work = Work(torch.float32, 9, 64, 64, block=3, objective=AttentionMotionFlow())
    planned = [phase.component for phase in phases(backbone.shapes(), work)]
    assert planned == ["text encoder", "VAE", "transformer", "transformer", "transformer", "VAE"]
    plain = fit(rope, tmp_path / "plain", reference_video, [PROMPT, OTHER], data=data)
    made = fit(backbone, tmp_path / "made", reference_video, [PROMPT, OTHER], data=data)
    assert there == [{name} for name in FIT]
    assert all(map(torch.equal, made.videos, plain.videos))
    there.clear()
    fit(backbone, tmp_path / "again", reference_video, data=data)
    assert there == [{name} for name in FIT]
    there.clear()
    module = MotionTransfer(backbone, **FEW)
    data = MotionDataModule(
        prompts=[PROMPT], seeds=[0, 1], embedding=tmp_path / "made" / "motion.safetensors"
    )
    make_trainer(tmp_path).predict(module, data)
    assert there == [{name} for name in ("text encoder", *["transformer", "VAE"] * 2)]


@pytest.mark.parametrize("transformers", [1, 2])
def test_wans_parts_come_one_at_a_time(there, transformers, tmp_path, reference_video):
    """Of two transformers the second goes before the first comes for another prompt."""
    settings = {"block": 1, "guidance_scale": 2.0, "guided_share": 0.34}
    prompts, data = [PROMPT, OTHER], {"num_frames": 9, "height": 32, "width": 32, "cache": False}
    backbone = wan(transformers)
    backbone.pipeline.enable_model_cpu_offload(device="cpu")
    made = fit(backbone, tmp_path / "made", reference_video, prompts, data=data, **settings)
    both = ["transformer", "second transformer"]
    denoising = ["transformer"] if transformers == 1 else both * 2
    assert there == [{name} for name in ("text encoder", "VAE", *denoising, "VAE")]
    plain = fit(
        wan(transformers), tmp_path / "plain", reference_video, prompts, data=data, **settings
    )
    assert all(map(torch.equal, made.videos, plain.videos))


def test_a_preview_brings_them_in_the_same_order(there, reference_video):
    backbone = offloaded()
    reference = read_reference(backbone, reference_video, frames=FrameRange(0, 9))
    read_motion(backbone, AttentionMotionFlow(), reference, [3], 3, cache=False)
    assert there == [{name} for name in FIT[:3]]


def test_each_offloading_leaves_its_own_weights():
    weights = {"text encoder": [5, 2], "VAE": [1], "transformer": [3, 4]}
    phase = Phase("denoising", "transformer", 0)
    sizes = [resident_bytes(weights, phase, {"offload": way}) for way in ("none", "model", "group")]
    assert sizes == [15, 7, 4]
    assert resident_bytes(weights, phase, {}) == 15


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_a_backward_pass_keeps_of_weights_is_planned(checkpointing):
    """Under group offload: every block's, or with checkpointing one block's at a time."""
    backbone = load_backbone("sprites-rope", gradient_checkpointing=checkpointing)
    work = Work(
        torch.float32,
        9,
        64,
        64,
        block=6,
        objective=AttentionMotionFlow(),
        gradient_checkpointing=checkpointing,
    )
    planner = Planner(backbone.shapes(), work)
    options = {"gradient_checkpointing": checkpointing}
    plain, by_layer = (
        {phase.name: phase.working for phase in planner.plan(options | {"offload": way}).phases}
        for way in ("none", "group")
    )
    matrices = sum(  # of tokens; what modulates them has no gradient
        weight.numel() * weight.itemsize
        for name, weight in backbone.blocks[0].named_parameters()
        if weight.dim() > 1 and name.startswith(("attn1", "ff"))
    )
    optimising = "optimising, block 6"
    kept = by_layer[optimising] - plain[optimising]
    if checkpointing:
        assert 0.5 * matrices < kept < 2 * matrices
    else:
        assert 5 * matrices < kept < 8 * matrices
    brought_by_layer(backbone.transformer)
    backbone.options["offload"] = "group"
    shape = backbone.latent_shape(9, 64, 64)
    latents, positions = torch.randn(shape), backbone.positions(shape)
    prompt = backbone.encode_prompt("a red ring")
    given = PassInput(latents, 500, prompt, positions)
    with LiveMemory() as live:
        parameter = torch.nn.Parameter(latents)
        optimizer = torch.optim.Adam([parameter])
        with backbone.injected(backbone.record_key_values(given)):
            outputs = backbone.query_key(given._replace(latents=parameter), 6)
        work.objective.loss(outputs, work.objective.reference(outputs.detach())).backward()
        optimizer.step()
    assert by_layer[optimising] == pytest.approx(live.peak, rel=0.1)
