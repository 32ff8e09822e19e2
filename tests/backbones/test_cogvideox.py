"""The adapter against the stock pipeline and the stock transformer."""

import pytest
import torch
from diffusers import CogVideoXPipeline
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0

from ditflow import DitflowError
from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import KeyValues, PassInput
from ditflow.backbones.cogvideox.attention import AttentionControl, controlled
from ditflow.sampling import Sampler, SamplerOptions
from tests.conftest import tiny_pipeline

PROMPT = "a red circle on a gray background"


def stock_pass(pipeline: CogVideoXPipeline, latents, timestep, prompt, rotary):
    """A whole pass of the stock transformer, its queries and keys read by hooks."""
    seen = {}
    handles = []
    for index, block in enumerate(pipeline.transformer.transformer_blocks):
        block.attn1.processor = CogVideoXAttnProcessor2_0()
        for name in ("norm_q", "norm_k"):
            handles.append(
                getattr(block.attn1, name).register_forward_hook(
                    lambda _m, _i, output, key=(index, name): seen.__setitem__(key, output.clone())
                )
            )
    with torch.no_grad():
        pipeline.transformer(
            hidden_states=latents,
            encoder_hidden_states=prompt,
            timestep=torch.tensor([timestep]),
            image_rotary_emb=rotary,
        )
    for handle in handles:
        handle.remove()
    return seen


@pytest.fixture
def inputs(tiny):
    shape = tiny.latent_shape(9, 48, 32)  # not the default size
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return tiny, latents, tiny.encode_prompt(PROMPT), tiny.positions(shape)


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

    stock = CogVideoXPipeline.from_pretrained(str(weights(sprites.name)))
    stock.set_progress_bar_config(disable=True)
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


@pytest.mark.parametrize("kind", ["2b", "5b", "1.5"])
@pytest.mark.parametrize("num_frames", [5, 9, 13])
def test_every_variant_equals_the_stock_pipeline(kind, num_frames):
    """At odd and even latent frames, which 1.5 pads; no classifier-free guidance."""
    backbone = CogVideoXBackbone(tiny_pipeline(kind), kind)
    shape = backbone.latent_shape(num_frames, 32, 48)
    options = SamplerOptions(num_steps=3, guidance_scale=1.0)
    sampler = Sampler(backbone, options, PROMPT, seed=2, latent_shape=shape)
    for step in range(3):
        sampler.advance(step, sampler.predict(step, backbone.positions(shape)))
    ours = backbone.decode_video(sampler.latents, num_frames)
    theirs = tiny_pipeline(kind)(
        PROMPT,
        num_frames=num_frames,
        height=32,
        width=48,
        num_inference_steps=3,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(2),
        max_sequence_length=8,
        output_type="pt",
    ).frames[0][-num_frames:]
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() == 0


def weights(name):
    from ditflow.utils.shipped import EMBEDDED

    return EMBEDDED / name


def test_early_exit_gives_a_whole_pass_queries_and_keys(inputs):
    tiny, latents, prompt, positions = inputs
    outputs = tiny.query_key(PassInput(latents, 300, prompt, positions), block=1)
    rotary = positions if tiny.rotary else None
    seen = stock_pass(tiny.pipeline, latents, 300, prompt, rotary)
    text = prompt.shape[1]
    for ours, name in ((outputs.query, "norm_q"), (outputs.key, "norm_k")):
        theirs = seen[1, name][0, :, text:]
        if tiny.rotary:
            from diffusers.models.embeddings import apply_rotary_emb

            theirs = apply_rotary_emb(theirs[None], positions)[0]
        assert (ours - theirs).abs().max() == 0


@pytest.mark.parametrize("block", [0, 1, 2])
def test_features_are_a_whole_pass_output_of_the_block(inputs, block):
    tiny, latents, prompt, positions = inputs
    seen = []
    hook = tiny.transformer.transformer_blocks[block].register_forward_hook(
        lambda _m, _i, output: seen.append(output[0])
    )
    tiny.denoise(PassInput(latents, torch.tensor(300), prompt, positions), None, 1.0)
    hook.remove()
    ours = tiny.features(PassInput(latents, 300, prompt, positions), block)
    assert (ours.features - seen[0][0]).abs().max() == 0
    frames, height, width = ours.grid
    assert ours.features.shape == (frames * height * width, 32)


@pytest.mark.parametrize(("read", "ran_blocks"), [("query_key", [0]), ("features", [0, 1])])
def test_early_exit_runs_no_later_block(inputs, read, ran_blocks):
    tiny, latents, prompt, positions = inputs
    ran = []
    for index, block in enumerate(tiny.transformer.transformer_blocks):
        block.ff.register_forward_hook(lambda *_, index=index: ran.append(index))
    getattr(tiny, read)(PassInput(latents, 300, prompt, positions), block=1)
    assert ran == ran_blocks
    # The early exit is gone again.
    tiny.denoise(PassInput(latents, torch.tensor(300), prompt, positions), None, 1.0)
    assert ran == [*ran_blocks, 0, 1, 2]


@pytest.mark.parametrize("name", ["record", "replacement"])
def test_control_is_gone_after_an_exception(inputs, name):
    tiny, latents, prompt, positions = inputs
    before = tiny.denoise(PassInput(latents, torch.tensor(300), prompt, positions), None, 1.0)
    processors = [b.attn1.processor for b in tiny.transformer.transformer_blocks]
    controls = [processor.control for processor in processors]
    if name == "record":
        context = controlled(tiny.transformer, {0: AttentionControl(record="query_key", stop=True)})
    else:
        context = tiny.injected(tiny.record_key_values(PassInput(latents, 900, prompt, positions)))
    with pytest.raises(RuntimeError, match="stop here"), context:
        raise RuntimeError("stop here")
    assert [p.control for p in processors] == controls
    assert all(p.control.replacement is None for p in processors)
    after = tiny.denoise(PassInput(latents, torch.tensor(300), prompt, positions), None, 1.0)
    assert (before - after).abs().max() == 0


def test_positions_are_gone_after_an_exception(inputs):
    tiny, latents, _prompt, positions = inputs
    if tiny.rotary:
        pytest.skip("rotary positions go in as an argument")
    embed = tiny.transformer.patch_embed
    own = embed.pos_embedding, embed.sample_height, embed.sample_width, embed.sample_frames
    with pytest.raises(RuntimeError), tiny.positioned(positions, latents.shape):
        raise RuntimeError
    assert embed.pos_embedding is own[0]
    assert (embed.sample_height, embed.sample_width, embed.sample_frames) == own[1:]


def test_injecting_ones_own_keys_and_values_changes_nothing(inputs):
    tiny, latents, prompt, positions = inputs
    timestep = torch.tensor(300)
    plain = tiny.denoise(PassInput(latents, timestep, prompt, positions), None, 1.0)
    own = tiny.record_key_values(PassInput(latents, timestep, prompt, positions))
    with tiny.injected(own):
        injected = tiny.denoise(PassInput(latents, timestep, prompt, positions), None, 1.0)
    torch.testing.assert_close(injected, plain, atol=1e-6, rtol=0)
    other = tiny.record_key_values(PassInput(latents.flip(-1), timestep, prompt, positions))
    with tiny.injected(other):
        changed = tiny.denoise(PassInput(latents, timestep, prompt, positions), None, 1.0)
    assert (changed - plain).abs().max() > 1e-3


def test_gradients_reach_latents_and_positions_and_no_weight(inputs):
    tiny, latents, prompt, _positions = inputs
    coordinates = tiny.coordinates(latents.shape).requires_grad_()
    latents = latents.requires_grad_()
    outputs = tiny.query_key(
        PassInput(latents, 300, prompt, tiny.positions_at(coordinates)), block=2
    )
    (outputs.query.square().mean() + outputs.key.square().mean()).backward()
    assert latents.grad.abs().max() > 0
    assert coordinates.grad.abs().max() > 0
    assert all(not w.requires_grad and w.grad is None for w in tiny.transformer.parameters())


@pytest.mark.parametrize("read", ["query_key", "features"])
def test_gradient_checkpointing_gives_the_same_gradients(inputs, read):
    tiny, latents, prompt, positions = inputs
    other = tiny.record_key_values(PassInput(latents.flip(-1), 300, prompt, positions))
    # Far from the generation's own: computed again without them, the gradient would be another.
    other = KeyValues(0, 30 * other.key, 30 * other.value)

    def gradient(key_values=other):
        tensor = latents.detach().clone().requires_grad_()
        with tiny.injected(key_values):
            outputs = getattr(tiny, read)(PassInput(tensor, 300, prompt, positions), block=2)
        if read == "query_key":
            (outputs.query.sin() * outputs.key.cos()).mean().backward()
        else:
            outputs.features.std(0).mean().backward()
        return tensor.grad

    plain = gradient()
    assert (gradient(None) - plain).norm() > 0.01 * plain.norm()
    tiny.transformer.enable_gradient_checkpointing()
    assert (gradient() - plain).abs().max() == 0


def test_coordinates_give_the_stock_positions(tiny):
    for size in ((9, 32, 32), (13, 48, 32), (5, 16, 64)):
        shape = tiny.latent_shape(*size)
        ours = tiny.positions_at(tiny.coordinates(shape))
        for ours_part, stock in zip(ours, tiny.positions(shape), strict=True):
            torch.testing.assert_close(ours_part, stock.float(), atol=1e-6, rtol=0)


def test_a_swapped_table_is_the_one_that_is_added(inputs):
    tiny, latents, prompt, positions = inputs
    moved = tiny.positions_at(tiny.coordinates(latents.shape) + 1.5)
    plain = tiny.denoise(PassInput(latents, torch.tensor(300), prompt, positions), None, 1.0)
    shifted = tiny.denoise(PassInput(latents, torch.tensor(300), prompt, moved), None, 1.0)
    difference = (plain - shifted).abs().max()
    # Rotary attention sees differences of positions only.
    assert difference < 1e-3 if tiny.rotary else difference > 1e-2


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
    from ditflow.sprites.render import render
    from tests.conftest import straight_clip

    frames = render([straight_clip()])[0]
    again = sprites.decode_video(sprites.encode_video(frames), len(frames))
    assert again.shape == frames.shape
    assert (again - frames).abs().mean() < 0.03


@pytest.mark.parametrize(
    ("size", "option"),
    [((10, 32, 32), "num_frames"), ((9, 36, 32), "height"), ((9, 32, 4), "width")],
)
def test_sizes_that_do_not_fit_name_the_nearest(tiny, size, option):
    with pytest.raises(DitflowError, match=rf"{option}=.*use "):
        tiny.check_size(*size)


def test_block_out_of_range(inputs):
    tiny, latents, prompt, positions = inputs
    with pytest.raises(DitflowError, match="blocks 0 to 2"):
        tiny.query_key(PassInput(latents, 0, prompt, positions), block=3)
