"""Loading options: what works gives the same results, what cannot is refused with the reason."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from ditflow import DitflowError, load_backbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.loading import offload_by_layer
from ditflow.utils.shipped import EMBEDDED, is_hub_name


@pytest.fixture(scope="module")
def pass_inputs(rope):
    shape = rope.latent_shape(25, 64, 64)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return latents, rope.encode_prompt("a red circle on a gray background"), rope.positions(shape)


@pytest.mark.parametrize("options", [{"offload": "group"}, {"vae_slicing": True}])
def test_memory_options_change_nothing(rope, pass_inputs, options):
    """Under group offload also after an early exit, which skips the hooks of later blocks."""
    latents, prompt, positions = pass_inputs
    other = load_backbone("sprites-rope", **options)
    plain_gradient, gradient = (
        _gradient(backbone, latents, prompt, positions) for backbone in (rope, other)
    )
    torch.testing.assert_close(gradient, plain_gradient)
    timestep = torch.tensor(500)
    plain, ours = (
        backbone.denoise(PassInput(latents, timestep, prompt, positions), prompt, 3.0)
        for backbone in (rope, other)
    )
    assert (plain - ours).abs().max() == 0
    frames = rope.decode_video(latents, 25)
    assert (other.decode_video(latents, 25) - frames).abs().max() == 0


def test_gradients_outlive_the_weights_that_group_offloading_takes_away(rope, pass_inputs):
    """On a GPU the weights' memory goes back to the CPU's after every layer: here to nowhere."""
    plain = _gradient(rope, *pass_inputs)
    other = load_backbone("sprites-rope", offload="none")
    other.options["offload"] = "group"

    def bring(module, args):
        for weight in module.parameters(recurse=False):
            weight.data = weight.own

    def take_away(module, args, output):
        for weight in module.parameters(recurse=False):
            weight.data = torch.full_like(weight.own, torch.nan)

    for module in other.transformer.modules():
        for weight in module.parameters(recurse=False):
            weight.own = weight.data
        module.register_forward_pre_hook(bring)
        module.register_forward_hook(take_away, always_call=True)
    assert (_gradient(other, *pass_inputs) - plain).abs().max() == 0


def _gradient(backbone, latents, prompt, positions):
    tensor = latents.clone().requires_grad_()
    outputs = backbone.query_key(PassInput(tensor, 500, prompt, positions), block=4)
    (outputs.query * outputs.key).mean().backward()
    return tensor.grad


def test_vae_options_reach_the_vae(rope):
    vae = load_backbone("sprites-rope", vae_tiling=True, vae_slicing=True).pipeline.vae
    assert vae.use_tiling
    assert vae.use_slicing
    assert not rope.pipeline.vae.use_tiling


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "math"},
        {"attention": "flash"},
        {"split_guidance": True},
        pytest.param({"compile_blocks": True}, marks=pytest.mark.slow),
    ],
)
def test_speed_options_change_no_more_than_the_order_of_sums(rope, pass_inputs, options):
    latents, prompt, positions = pass_inputs
    other = load_backbone("sprites-rope", **options)
    gradients = (_gradient(backbone, *pass_inputs) for backbone in (other, rope))
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
    negative, timestep = rope.encode_prompt("a blue ring"), torch.tensor(500)
    plain, ours = (
        backbone.denoise(PassInput(latents, timestep, prompt, positions), negative, 3.0)
        for backbone in (rope, other)
    )
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-4)


def test_the_attention_kernel_is_the_one_that_is_asked_for(pass_inputs):
    latents, prompt, positions = pass_inputs
    backbone = load_backbone("sprites-rope", attention="math")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        backbone.denoise(PassInput(latents, torch.tensor(500), prompt, positions), None, 1.0)
    ran = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_attention_math" in ran
    assert not any("flash" in name for name in ran)


@pytest.mark.parametrize("name", ["ddim", "dpm"])
def test_scheduler_is_exchanged_with_its_configuration_kept(rope, name):
    scheduler = load_backbone("sprites-rope", scheduler=name).pipeline.scheduler
    assert name in type(scheduler).__name__.lower()
    assert scheduler.config.snr_shift_scale == rope.pipeline.scheduler.config.snr_shift_scale
    assert scheduler.config.timestep_spacing == "trailing"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offload": "model"}, "offload=model.*use offload=none"),
        ({"dtype": "float16"}, "dtype=float16.*use dtype"),
        ({"quantization": "bitsandbytes-8bit"}, "needs a GPU"),
        ({"device": "cuda"}, "device=cuda.*use device=cpu"),
        ({"device": "gpu"}, "device=gpu is unknown; use auto"),
        ({"attention": "cudnn"}, "attention=cudnn is not available.*use auto, .*math"),
        ({"name": "nobody/nothing"}, "nobody/nothing.*use an embedded one"),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    if torch.cuda.is_available():
        pytest.skip("these are refused on a machine without a GPU")
    with pytest.raises(DitflowError, match=message) as caught:
        load_backbone(**{"device": "cpu"} | options)
    assert "\n" not in str(caught.value)


def test_an_unknown_backbone_names_the_embedded_ones(tmp_path):
    with pytest.raises(DitflowError, match=r"\(sprites-rope, sprites-sincos\)"):
        load_backbone(str(tmp_path / "missing"))


def test_a_folder_whose_pipeline_cannot_be_told_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(DitflowError, match="could not be loaded .*use an embedded one"):
        load_backbone(str(tmp_path), device="cpu")


def test_a_folder_here_is_never_taken_for_a_name_of_the_hub(tmp_path, monkeypatch):
    """In what is kept of it, such as an embedding that is published from elsewhere."""
    shutil.copytree(EMBEDDED / "sprites-rope", tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    backbone = load_backbone("models/mine")
    for name in (backbone.name, backbone.options["name"]):
        assert name == "./models/mine"
        assert not is_hub_name(name)


def test_on_a_gpu_layers_come_by_a_stream_of_their_own():
    """Recorded on the one that computes, without which gradients are not safe."""
    asked = {}
    pipeline = SimpleNamespace(enable_group_offload=lambda **options: asked.update(options))
    offload_by_layer(pipeline, torch.device("cuda", 1))
    assert asked.items() >= {"use_stream": True, "record_stream": True}.items()
    offload_by_layer(pipeline, torch.device("cpu"))
    assert asked.items() >= {"use_stream": False, "record_stream": False}.items()


def test_with_no_run_to_choose_for_auto_saves_nothing(rope):
    auto = {"offload": "auto", "vae_tiling": "auto", "gradient_checkpointing": "auto"}
    backbone = load_backbone("sprites-rope", **auto)
    assert backbone.options == rope.options
    known = {name: value for name, value in rope.options.items() if value is not None}
    assert backbone.recorded_options == known | auto
    assert not backbone.transformer.is_gradient_checkpointing
