"""CogVideoX's adapter: the conformance suite, and what only this family has."""

import pytest
import torch
from diffusers import CogVideoXPipeline

from ditflow import DitflowError
from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.image_to_video import CogVideoXImageBackbone
from ditflow.backbones.kernels import take_quick_convolutions
from ditflow.plan.live_memory import LiveMemory
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.sprites.render import render
from ditflow.utils.shipped import EMBEDDED
from tests.backbones.conformance import BackboneConformance
from tests.backbones.stock_calls import PROMPT
from tests.conftest import straight_clip, tiny_pipeline


class TestCogVideoX(BackboneConformance):
    """Sinusoidal positions (2B), rotary ones (5B), and with a temporal patch (1.5)."""

    @pytest.fixture(scope="class", params=["2b", "5b", "1.5"])
    def kind(self, request):
        return request.param

    @pytest.fixture(scope="class")
    def backbone(self, kind):
        return CogVideoXBackbone(tiny_pipeline(kind), kind)

    @pytest.fixture(scope="class")
    def stock(self, kind):
        return tiny_pipeline(kind)

    def call_options(self, stock):
        return {"max_sequence_length": stock.transformer.config.max_text_seq_length}


class TestCogVideoX15Image(BackboneConformance):
    """An image beside the latents, scaled by the inverse as 1.5's, whose `ofs` is given too."""

    with_image, kind = True, "1.5-i2v"

    @pytest.fixture(scope="class")
    def backbone(self):
        return CogVideoXImageBackbone(tiny_pipeline(self.kind), self.kind)

    @pytest.fixture(scope="class")
    def stock(self):
        return tiny_pipeline(self.kind)

    def call_options(self, stock):
        return {"max_sequence_length": stock.transformer.config.max_text_seq_length}

    def test_a_video_without_an_image_is_refused(self, backbone):
        with pytest.raises(DitflowError, match="image is not given.*--image"):
            Sampler(backbone, SamplerOptions(2), PROMPT, 0, backbone.latent_shape(*self.size))

    def test_the_image_tells(self, backbone, given):
        other = backbone.denoise(given._replace(condition=given.condition.flip(-1)), None, 1.0)
        assert (backbone.denoise(given, None, 1.0) - other).abs().max() > 1e-3


class TestCogVideoX5BImage(TestCogVideoX15Image):
    """Learned positions beside rotary ones, of one height and width."""

    kind = "5b-i2v"
    size = (13, 32, 32)
    sizes = ((5, 32, 32), (9, 32, 32), (13, 32, 32))
    wrong_sizes = (((10, 32, 32), "num_frames"), ((9, 48, 32), "height"), ((9, 32, 4), "width"))


@pytest.mark.parametrize(("kind", "fps"), [("2b", 8), ("5b", 8), ("1.5", 16)])
def test_frames_a_second_are_those_of_the_training(kind, fps):
    assert CogVideoXBackbone(tiny_pipeline(kind), kind).fps == fps


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("size", [(25, 64, 64), (13, 48, 80)])
def test_unguided_sampling_equals_the_stock_pipeline(sprites, dynamic, size):
    num_frames, height, width = size
    options = SamplerOptions(
        num_steps=6, guidance_scale=3.0, dynamic_guidance=dynamic, negative_prompt="a blue ring"
    )
    shape = sprites.latent_shape(*size)
    sampler = Sampler(sprites, options, PROMPT, seed=5, latent_shape=shape)
    for step in range(options.num_steps):
        sampler.advance(step, sampler.predict(step, sprites.positions(shape)))
    ours = sprites.decode_video(sampler.latents, num_frames)

    stock = CogVideoXPipeline.from_pretrained(str(EMBEDDED / sprites.name))
    stock.set_progress_bar_config(disable=True)
    take_quick_convolutions(stock.vae)  # whose sums have another order
    theirs = stock(
        PROMPT,
        negative_prompt="a blue ring",
        num_frames=num_frames,
        height=height,
        width=width,
        num_inference_steps=6,
        guidance_scale=3.0,
        use_dynamic_cfg=dynamic,
        generator=torch.Generator().manual_seed(5),
        max_sequence_length=stock.transformer.config.max_text_seq_length,
        output_type="pt",
    ).frames[0][-num_frames:]
    assert (ours - theirs).abs().max() == 0


def test_added_positions_are_gone_after_an_exception():
    tiny = CogVideoXBackbone(tiny_pipeline("2b"), "2b")
    shape = tiny.latent_shape(9, 48, 32)
    embed = tiny.transformer.patch_embed
    own = embed.pos_embedding, embed.sample_height, embed.sample_width, embed.sample_frames
    with pytest.raises(RuntimeError), tiny.positioned(tiny.positions(shape), shape):
        raise RuntimeError
    assert embed.pos_embedding is own[0]
    assert (embed.sample_height, embed.sample_width, embed.sample_frames) == own[1:]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(9, 32, 32), (13, 48, 32)])
def test_stock_positions_swap_exactly_in_half_precision(dtype, size):
    pipeline = tiny_pipeline("2b").to(dtype)
    backbone = CogVideoXBackbone(pipeline, "2b")
    shape = backbone.latent_shape(*size)
    latents = torch.randn(shape).to(dtype)
    prompt = backbone.encode_prompt(PROMPT)
    stock = pipeline.transformer.patch_embed(prompt, latents)
    with backbone.positioned(backbone.positions(shape), shape):
        swapped = pipeline.transformer.patch_embed(prompt, latents)
    assert (stock - swapped).abs().max() == 0


def test_video_round_trip(sprites):
    frames = render([straight_clip()])[0]
    again = sprites.decode_video(sprites.encode_video(frames), len(frames))
    assert again.shape == frames.shape
    assert (again - frames).abs().mean() < 0.03


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_optimised_positions_keep_no_copies_of_the_tokens(separate, checkpointing):
    """For the backward pass, of queries and keys beyond what optimised latents keep."""
    kept, gradients = [], []
    backbone = CogVideoXBackbone(tiny_pipeline("5b"), "5b")
    if checkpointing:
        backbone.transformer.enable_gradient_checkpointing()
    shape = backbone.latent_shape(9, 64, 64)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    positions = tuple(part.clone() for part in backbone.positions(shape) * (1 + separate))
    leaves = [latents.requires_grad_(), *(part.requires_grad_() for part in positions)]
    for asked in (leaves[:1], leaves):
        given = PassInput(latents, 500, backbone.encode_prompt(PROMPT), positions)
        for leaf in leaves:
            leaf.requires_grad_(any(leaf is other for other in asked))
        with LiveMemory() as live:
            outputs = backbone.query_keys(given, [2])[0]
            kept.append(live.now)
        gradients.append(torch.autograd.grad((outputs.query * outputs.key).sum(), asked))
    tokens = outputs.query.nbytes
    assert kept[1] - kept[0] < (2 if checkpointing else 1) * tokens
    torch.testing.assert_close(gradients[0][0], gradients[1][0], rtol=0, atol=1e-6)
    assert all(gradient.abs().max() > 0 for gradient in gradients[1])
