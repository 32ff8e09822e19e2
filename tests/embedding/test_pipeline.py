"""A motion embedding in an ordinary diffusers pipeline."""

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXVideoToVideoPipeline,
)
from PIL import Image

from ditflow import DitflowError, MotionEmbedding
from ditflow.backbones.kernels import take_quick_convolutions
from ditflow.utils.shipped import EMBEDDED
from tests.conftest import SPRITES
from tests.test_module import OTHER, PROMPT, fit, predict

SHORT = {"num_frames": 9}


@pytest.fixture(scope="module", params=SPRITES)
def stock(request):
    pipeline = CogVideoXPipeline.from_pretrained(str(EMBEDDED / request.param), dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    take_quick_convolutions(pipeline.vae)  # whose sums have another order
    return pipeline


def call(pipeline, embedding, **options):
    settings = {
        "num_inference_steps": 6,
        "guidance_scale": 3.0,
        "num_frames": embedding.header.num_frames,
        "height": embedding.header.height,
        "width": embedding.header.width,
        "generator": torch.Generator().manual_seed(embedding.header.seed),
        "max_sequence_length": pipeline.transformer.config.max_text_seq_length,
        "output_type": "pt",
    }
    return pipeline(options.pop("prompt", OTHER), **settings | options).frames[0]


@pytest.fixture(scope="module")
def loaded(stock):
    from ditflow import load_backbone

    return load_backbone(
        "sprites-rope" if stock.transformer.config.use_rotary_positional_embeddings else SPRITES[1]
    )


@pytest.mark.slow  # the conformance suite has another size, untrained
def test_other_size_and_one_guided_step(stock, loaded, tmp_path, reference_video):
    """At a size the positions were not built for, and with latents from the very first step."""
    for target in ("latents", "positions"):
        folder = tmp_path / target
        data = {"num_frames": 13, "height": 48, "width": 80}
        options = {"guided_share": 0.1, "learning_rate": 0.2}
        fit(loaded, folder, reference_video, target=target, data=data, **options)
        embedding = MotionEmbedding.load(folder / "motion.safetensors")
        assert embedding.header.guided_steps == 1
        ours = predict(loaded, folder, injection=False)[0]
        with embedding.applied_to(stock) as pipeline:
            theirs = call(pipeline, embedding)[-13:]
        assert (theirs - ours).abs().max() == 0


@pytest.fixture(scope="module")
def embedding(loaded, tmp_path_factory, reference_video):
    folder = tmp_path_factory.mktemp("embedding")
    fit(loaded, folder, reference_video, target="positions", data=SHORT)
    return MotionEmbedding.load(folder / "motion.safetensors")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_inference_steps": 7}, "num_inference_steps=6"),
        ({"num_frames": 13}, "num_frames=9"),
        ({"height": 48}, "height=64"),
    ],
)
def test_another_call_is_refused(stock, embedding, options, message):
    plain = call(stock, embedding)
    with pytest.raises(DitflowError, match=message), embedding.applied_to(stock) as pipeline:
        call(pipeline, embedding, **options)
    assert (call(stock, embedding) - plain).abs().max() == 0


def test_another_scheduler_is_refused(stock, embedding):
    own = stock.scheduler
    is_ddim = isinstance(own, CogVideoXDDIMScheduler)
    other = CogVideoXDPMScheduler if is_ddim else CogVideoXDDIMScheduler
    try:
        stock.scheduler = other.from_config(own.config)
        with pytest.raises(DitflowError, match="scheduler"), embedding.applied_to(stock):
            call(stock, embedding)
        stock.scheduler = own
        with pytest.raises(DitflowError, match="exchanged"), embedding.applied_to(stock):  # noqa: PT012
            stock.scheduler = other.from_config(own.config)
            call(stock, embedding)
    finally:
        stock.scheduler = own


def test_another_model_is_refused(stock, embedding):
    from tests.conftest import tiny_pipeline

    pipeline = tiny_pipeline("5b")
    with pytest.raises(DitflowError, match="fitted on sprites"), embedding.applied_to(pipeline):
        pass


def test_the_pipeline_is_itself_again_after_an_exception(stock, embedding):
    plain = call(stock, embedding)
    with pytest.raises(RuntimeError, match="mine"), embedding.applied_to(stock):
        raise RuntimeError("mine")
    assert "forward" not in stock.transformer.__dict__
    assert "step" not in stock.scheduler.__dict__
    assert (call(stock, embedding) - plain).abs().max() == 0


def test_what_offloading_does_to_a_pipeline_does_not_take_the_motion_away(stock, embedding):
    """At the end of a call, model offloading puts its own `forward` in place of what is there."""
    with embedding.applied_to(stock):
        guided = call(stock, embedding)
        stock.transformer.forward = type(stock.transformer).forward.__get__(stock.transformer)
        again = call(stock, embedding)
    del stock.transformer.forward
    assert (again - guided).abs().max() == 0
    assert (call(stock, embedding) - guided).abs().max() > 1e-3


def test_the_embedding_says_how_to_call(stock, loaded, tmp_path, reference_video):
    options = {"dynamic_guidance": True, "negative_prompt": "a red ring", "seed": 9}
    fit(loaded, tmp_path, reference_video, target="positions", data=SHORT, **options)
    embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
    ours = predict(loaded, tmp_path, injection=False, **options)[0]
    with embedding.applied_to(stock) as pipeline:
        length = pipeline.transformer.config.max_text_seq_length
        arguments = embedding.call_arguments()
        video = pipeline(OTHER, **arguments, max_sequence_length=length, output_type="pt")
    assert (video.frames[0] - ours).abs().max() == 0
    assert embedding.call_arguments(seed=3)["generator"].initial_seed() == 3


def test_latents_of_several_prompts_start_from_the_one_that_is_named(
    stock, loaded, tmp_path, reference_video
):
    fit(loaded, tmp_path, reference_video, prompts=[PROMPT, OTHER], data=SHORT)
    embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
    ours = predict(loaded, tmp_path, prompts=[OTHER], injection=False)[0]
    with embedding.applied_to(stock, prompt=OTHER) as pipeline:
        assert (call(pipeline, embedding) - ours).abs().max() == 0
    with pytest.raises(DitflowError, match="latents of 2 prompts"), embedding.applied_to(stock):
        pass
    with pytest.raises(DitflowError, match="none of the fit's"), embedding.applied_to(stock, "x"):
        pass


def test_a_call_that_leaves_guided_steps_out_is_refused(stock, embedding):
    """As a video-to-video pipeline does, whose scheduler lists every step all the same."""
    other = CogVideoXVideoToVideoPipeline(**stock.components)
    other.set_progress_bar_config(disable=True)
    video = [Image.new("RGB", (64, 64))] * embedding.header.num_frames

    def call_it(pipeline, strength):
        arguments = embedding.call_arguments() | {"video": video, "strength": strength}
        del arguments["num_frames"]
        length = pipeline.transformer.config.max_text_seq_length
        given = {"prompt": OTHER, "max_sequence_length": length, "output_type": "pt"}
        return pipeline(**given, **arguments).frames[0]

    plain = call_it(other, 1.0)
    with embedding.applied_to(other) as pipeline:
        assert (call_it(pipeline, 1.0) - plain).abs().max() > 1e-3
        with pytest.raises(DitflowError, match="left out denoising step 1.*strength=1"):
            call_it(pipeline, 0.8)
    with embedding.applied_to(stock) as pipeline:  # a new call has to take them again
        call(pipeline, embedding)
        with pytest.raises(DitflowError, match="left out denoising step 1"):
            call_it(CogVideoXVideoToVideoPipeline(**pipeline.components), 0.8)


def test_a_call_that_is_broken_off_is_refused(stock, embedding):
    def stop(pipeline, step, timestep, tensors):
        pipeline._interrupt = True
        return tensors

    left_out = pytest.raises(DitflowError, match="left out denoising step 2")
    with left_out, embedding.applied_to(stock) as pipeline:
        call(pipeline, embedding, callback_on_step_end=stop)


def test_a_call_that_failed_stands_in_no_other_ones_way(stock, embedding):
    def fail(*_):
        raise RuntimeError("mine")

    with embedding.applied_to(stock) as pipeline:
        plain = call(pipeline, embedding)
        with pytest.raises(RuntimeError, match="mine"):
            call(pipeline, embedding, callback_on_step_end=fail)
        assert (call(pipeline, embedding) - plain).abs().max() == 0
        with pytest.raises(RuntimeError, match="mine"):
            call(pipeline, embedding, callback_on_step_end=fail)
    assert "maybe_free_model_hooks" not in stock.__dict__


def test_what_is_no_pipeline_is_refused(stock, embedding):
    for wrong, name in ((None, "NoneType"), (stock.transformer, "CogVideoXTransformer3DModel")):
        refused = pytest.raises(DitflowError, match=f"{name} is no pipeline; give the whole one")
        with refused, embedding.applied_to(wrong):
            pass


def test_attention_that_is_exchanged_meanwhile_is_refused(stock, embedding):
    plain = call(stock, embedding)
    try:
        with embedding.applied_to(stock) as pipeline:
            pipeline.transformer.fuse_qkv_projections()
            with pytest.raises(DitflowError, match="exchanged inside applied_to"):
                call(pipeline, embedding)
    finally:
        stock.transformer.unfuse_qkv_projections()
    torch.testing.assert_close(call(stock, embedding), plain, rtol=0, atol=1e-5)


def test_the_negative_prompt_may_be_given_encoded(stock, embedding):
    length = stock.transformer.config.max_text_seq_length
    _, encoded = stock.encode_prompt("x", "", max_sequence_length=length)
    given = {"max_sequence_length": length, "output_type": "pt"}
    with embedding.applied_to(stock) as pipeline:
        plain = pipeline(OTHER, **embedding.call_arguments(), **given).frames[0]
        given["negative_prompt_embeds"] = encoded
        given["prompt_embeds"], _ = pipeline.encode_prompt(OTHER, max_sequence_length=length)
        again = pipeline(**embedding.call_arguments(), **given).frames[0]
    torch.testing.assert_close(again, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestep_spacing": "leading"}, "timestep_spacing"),
        ({"beta_end": 0.02}, "another noise schedule"),
    ],
)
def test_another_schedule_is_refused_by_name(stock, embedding, change, message):
    own = stock.scheduler
    try:
        stock.scheduler = type(own).from_config(own.config, **change)
        with pytest.raises(DitflowError, match=message), embedding.applied_to(stock):
            call(stock, embedding)
    finally:
        stock.scheduler = own
