"""Fit and predict through Lightning, on the shipped pipelines, a few steps long."""

import hashlib
import shutil

import lightning
import pytest
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from ditflow import DitflowError, MotionDataModule, MotionEmbedding, MotionTransfer
from ditflow.backbones.base import PassInput
from ditflow.callbacks import EmbeddingCheckpoint, KVInjection
from ditflow.callbacks.embedding_checkpoint import header_of
from ditflow.module import LearningRates
from ditflow.objectives import (
    AttentionMotionFlow,
    FlowMotion,
    MotionFeature,
    SpatialMarginalMean,
)

PROMPT = "a blue square on a white background"
OTHER = "a yellow circle on a navy background"
FEW = {"num_inference_steps": 6, "guided_share": 0.5, "optimization_steps": 2, "block": 3}
TARGETS = [
    ("latents", "coordinates", False),
    ("positions", "coordinates", False),
    ("positions", "coordinates", True),
    ("positions", "values", False),
    ("positions", "values", True),
]


def make_trainer(folder, injection=True, callbacks=(), **options):
    return lightning.Trainer(
        accelerator=options.pop("accelerator", "cpu"),
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=options.pop("enable_checkpointing", False),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[EmbeddingCheckpoint(), KVInjection(enabled=injection), *callbacks],
        **options,
    )


def fit(backbone, folder, video, prompts=(PROMPT,), injection=True, data=None, **options):
    module = MotionTransfer(backbone, **FEW | options)
    data = MotionDataModule(video=video, prompts=list(prompts), **data or {})
    make_trainer(folder, injection, accelerator=backbone.device.type).fit(module, data)
    return module


def predict(backbone, folder, prompts=(OTHER,), injection=True, seeds=None, data=None, **options):
    embedding = MotionEmbedding.load(folder / "motion.safetensors")
    settings = FEW | {"separate_query_key": embedding.header.model["separate_query_key"]}
    settings |= {
        "target": embedding.header.target,
        "parameterization": embedding.header.parameterization,
    }
    module = MotionTransfer(backbone, **settings | options)
    given = {"embedding": folder / "motion.safetensors", "seeds": seeds} | (data or {})
    data = MotionDataModule(prompts=list(prompts), **given)
    return make_trainer(folder, injection, accelerator=backbone.device.type).predict(module, data)


def test_a_reference_may_be_moved_once_it_is_read(rope, reference_video, tmp_path):
    content = reference_video.read_bytes()
    video, masks = tmp_path / "reference.mp4", tmp_path / "masks"
    video.write_bytes(content)
    masks.mkdir()
    for number in range(25):
        Image.new("L", (64, 64), 255 - number).save(masks / f"{number}.png")
    pictures = b"".join(path.read_bytes() for path in sorted(masks.iterdir()))
    data = MotionDataModule(video=video, mask=masks, prompts=[PROMPT], num_frames=9)
    data.read_reference(rope)
    video.unlink()
    shutil.rmtree(masks)
    header = header_of(MotionTransfer(rope, **FEW), data, None)
    assert (header.reference, header.mask) == ("reference.mp4", "masks")
    assert header.reference_sha256 == hashlib.sha256(content).hexdigest()
    assert header.mask_sha256 == hashlib.sha256(pictures).hexdigest()


def test_a_fit_that_is_ended_early_makes_no_video(rope, reference_video, tmp_path):
    module = MotionTransfer(rope, **FEW)
    data = MotionDataModule(video=reference_video, prompts=[PROMPT], num_frames=9)
    with pytest.raises(DitflowError, match="after 1 of 3 guided steps"):
        make_trainer(tmp_path, max_steps=2).fit(module, data)
    assert module.videos == []
    assert MotionEmbedding.load(tmp_path / "motion.safetensors").header.guided_steps == 1


def recorded(objective):
    """An objective that notes its losses, and the notes."""
    losses = []
    original = objective.loss

    def loss(outputs, reference):
        value = original(outputs, reference)
        losses.append(value.item())
        return value

    objective.loss = loss
    return objective, losses


@pytest.mark.parametrize(("target", "parameterization", "separate"), TARGETS)
def test_fit_lowers_the_loss_and_predict_repeats_the_fit(
    sprites, tmp_path, reference_video, target, parameterization, separate
):
    objective, losses = recorded(AttentionMotionFlow())
    module = fit(
        sprites,
        tmp_path,
        reference_video,
        target=target,
        parameterization=parameterization,
        separate_query_key=separate,
        objective=objective,
        learning_rates=LearningRates((0.05, 0.05), (0.05, 0.05), (0.1, 0.1)),
        optimization_steps=3,
        data={"num_frames": 9},
    )
    assert len(losses) == 3 * 3
    for step in range(3):
        assert losses[3 * step + 2] < losses[3 * step]
    video = module.videos[0]
    assert video.shape == (9, 3, 64, 64)
    assert video.isfinite().all()
    # The same prompt and seed again, with no optimisation, gives the fit's own video: but for
    # half-precision storage of values and of the reference's latents.
    again = predict(sprites, tmp_path, prompts=[PROMPT])[0]
    assert (again - video).abs().mean() < 2e-3
    other = predict(sprites, tmp_path)[0]
    # Little for latents, whose saved z_t carries the video over; most of it for positions.
    assert (other - video).abs().mean() > 1e-3


@pytest.mark.parametrize("baseline", [SpatialMarginalMean, MotionFeature])
def test_baselines_go_through_the_same_loop(sprites, tmp_path, reference_video, baseline):
    objective, losses = recorded(baseline())
    rates = LearningRates(latents=(0.02, 0.02))
    module = fit(sprites, tmp_path, reference_video, objective=objective, learning_rates=rates)
    assert len(losses) == 3 * 2
    assert all(losses[2 * step + 1] < losses[2 * step] for step in range(3))
    assert module.videos[0].isfinite().all()
    assert MotionEmbedding.load(tmp_path / "motion.safetensors").header.objective == (
        baseline.__name__
    )


@pytest.mark.parametrize("injection", [False, True])
def test_without_optimisation_a_fit_is_plain_sampling(rope, tmp_path, reference_video, injection):
    module = fit(rope, tmp_path, reference_video, injection=injection, optimization_steps=0)
    plain = MotionTransfer(rope, **FEW)
    sampler = plain.sampler(PROMPT, 0, tuple(module.reference_latents.shape))
    stock = plain.decode(plain.denoise_rest(sampler, 0), 25)
    difference = (module.videos[0] - stock).abs().max()
    assert difference > 0.01 if injection else difference == 0


def test_predict_without_injection_equals_the_fit_to_the_bit(sprites, tmp_path, reference_video):
    for target in ("latents", "positions"):
        folder = tmp_path / target
        module = fit(sprites, folder, reference_video, target=target, injection=False)
        again = predict(sprites, folder, prompts=[PROMPT], injection=False)[0]
        tolerance = 0 if target == "latents" else 1e-5  # differences are stored, not positions
        assert (again - module.videos[0]).abs().max() <= tolerance


def test_a_seed_repeats_to_the_bit(rope, tmp_path, reference_video):
    first, second = (
        fit(rope, tmp_path / name, reference_video, seed=7).videos[0] for name in ("a", "b")
    )
    other = fit(rope, tmp_path / "c", reference_video, seed=8).videos[0]
    assert (first - second).abs().max() == 0
    assert (first - other).abs().max() > 0.01


def test_injection_changes_the_video_and_is_gone_after(rope, tmp_path, reference_video):
    without = fit(rope, tmp_path, reference_video, injection=False).videos[0]
    module = fit(rope, tmp_path, reference_video, injection=True)
    assert (module.videos[0] - without).abs().max() > 0.01
    assert module.injection is None
    controls = [block.attn1.processor.control for block in rope.transformer.transformer_blocks]
    assert all(control.replacement is None and not control.stop for control in controls)


def test_schedule_of_rates_and_fresh_adam(rope, tmp_path, reference_video):
    seen = []

    class Watch(lightning.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            state = optimizer.state.get(module.parameter, {})
            steps = int(state.get("step", 0))
            seen.append((trainer.current_epoch, steps, optimizer.param_groups[0]["lr"]))

    module = MotionTransfer(
        rope, learning_rates=LearningRates(latents=(0.02, 0.01)), **FEW | {"guided_share": 0.5}
    )
    data = MotionDataModule(video=reference_video, prompts=[PROMPT])
    make_trainer(tmp_path, callbacks=[Watch()]).fit(module, data)
    assert [(epoch, step) for epoch, step, _ in seen] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1),
    ]  # fmt: skip
    rates = [rate for _, step, rate in seen if step == 0]
    assert rates == pytest.approx([0.02, 0.015, 0.01])


def test_static_reference_is_no_nan(rope, tmp_path, caplog):
    from ditflow.sprites.render import render
    from ditflow.video.writing import write_video
    from tests.conftest import straight_clip

    still = render([straight_clip()])[0][:1].expand(25, -1, -1, -1)
    write_video(still, tmp_path / "still.mp4")
    module = fit(rope, tmp_path, tmp_path / "still.mp4")
    assert module.videos[0].isfinite().all()


@pytest.mark.parametrize("objective", [AttentionMotionFlow, FlowMotion])
def test_resuming_gives_the_same_video(rope, tmp_path, reference_video, objective):
    whole = fit(rope, tmp_path / "whole", reference_video, objective=objective()).videos[0]

    class Interrupt(lightning.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 2:
                raise RuntimeError("power cut")

    def attempt(callbacks, checkpoint):
        keep = lightning.pytorch.callbacks.ModelCheckpoint(
            tmp_path / "checkpoints", "last", enable_version_counter=False
        )
        module = MotionTransfer(rope, objective(), **FEW)
        data = MotionDataModule(video=reference_video, prompts=[PROMPT])
        trainer = make_trainer(
            tmp_path / "cut", callbacks=[keep, *callbacks], enable_checkpointing=True
        )
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        return module

    with pytest.raises(RuntimeError, match="power cut"):
        attempt([Interrupt()], None)
    kept = MotionEmbedding.load(tmp_path / "cut" / "motion.safetensors")
    assert kept.header.guided_steps == 2
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert (attempt([], last).videos[0] - whole).abs().max() == 0
    # Again from the checkpoint after the last guided step: only the rest is left.
    assert (attempt([], last).videos[0] - whole).abs().max() == 0
    assert MotionEmbedding.load(tmp_path / "cut" / "motion.safetensors").header.guided_steps == 3


def test_nan_stops_with_the_step_and_keeps_what_was_finished(rope, tmp_path, reference_video):
    class Poison(lightning.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.current_epoch == 2:
                module.parameter.data.fill_(float("nan"))

    module = MotionTransfer(rope, **FEW)
    data = MotionDataModule(video=reference_video, prompts=[PROMPT])
    with pytest.raises(DitflowError, match="guided step 3 of 3.*learning_rate"):
        make_trainer(tmp_path, callbacks=[Poison()]).fit(module, data)
    embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
    assert embedding.header.guided_steps == 2
    assert all(tensor.isfinite().all() for tensor in embedding.tensors.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 8}, "block=8.*0 to 7"),
        ({"block": -1}, "block=-1"),
        ({"learning_rate": -0.1}, "learning_rate=-0.1"),
        ({"guided_share": 0.0}, "guided_share"),
        ({"guided_share": 1.5}, "guided_share"),
        ({"optimization_steps": -1}, "optimization_steps"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
    ],
)
def test_options_out_of_range(rope, options, message):
    with pytest.raises(DitflowError, match=message):
        MotionTransfer(rope, **options)


def test_rates_must_be_positive():
    with pytest.raises(DitflowError, match="coordinates=-1"):
        LearningRates(coordinates=(-1, 0.1))


def test_embedding_of_another_schedule_is_refused(rope, tmp_path, reference_video):
    fit(rope, tmp_path, reference_video)
    with pytest.raises(DitflowError, match="6 steps.*7 of"):
        predict(rope, tmp_path, num_inference_steps=7)


def test_smaller_video_of_another_length(sprites, tmp_path, reference_video):
    data = {"num_frames": 14, "height": 48, "width": 80, "store_reference": False}
    module = fit(sprites, tmp_path, reference_video, target="positions", data=data)
    assert module.videos[0].shape == (13, 3, 48, 80)
    embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
    assert "reference_latents" not in embedding.tensors
    assert predict(sprites, tmp_path)[0].shape == (13, 3, 48, 80)


def test_a_module_and_its_data_can_be_used_again(rope, tmp_path, reference_video):
    data = MotionDataModule(video=str(reference_video), prompts=[PROMPT])
    few = FEW | {"num_inference_steps": 3, "guided_share": 1.0, "optimization_steps": 1}
    modules = [MotionTransfer(rope, target=target, **few) for target in ("latents", "positions")]
    first = {}
    for attempt in range(2):
        for module in modules:
            folder = tmp_path / f"{attempt}-{module.target}"
            make_trainer(folder).fit(module, data)
            assert MotionEmbedding.load(folder / "motion.safetensors").header.guided_steps == 3
            video = first.setdefault(module.target, module.videos[0])
            assert (module.videos[0] - video).abs().max() == 0
    both = MotionDataModule(video=reference_video, prompts=[PROMPT, OTHER])
    make_trainer(tmp_path / "both").fit(modules[1], both)
    assert len(modules[1].videos) == 2


def test_predict_goes_by_the_embedding_not_by_the_module(rope, tmp_path, reference_video):
    options = {"parameterization": "values", "separate_query_key": True}
    fit(rope, tmp_path, reference_video, target="positions", **options)
    told = predict(rope, tmp_path)[0]
    data = MotionDataModule(prompts=[OTHER], embedding=str(tmp_path / "motion.safetensors"))
    untold = make_trainer(tmp_path).predict(MotionTransfer(rope, **FEW), data)[0]
    assert (told - untold).abs().max() == 0


class Faint(AttentionMotionFlow):
    """As small a loss as at full size, where a hundred times as many pairs share it."""

    def loss(self, outputs, reference):
        return super().loss(outputs, reference) * 1e-4


@pytest.mark.parametrize("target", ["latents", "positions"])
def test_finished_steps_wait_in_main_memory(rope, target):
    module = MotionTransfer(rope, target=target)
    with FakeTensorMode():
        module.keep(torch.empty(2, 3, device="cuda"))
    assert module.finished[-1].device.type == "cpu"


def test_float16_keeps_small_gradients(reference_video, tmp_path):
    """The loss spreads over so many pairs of patches that its gradient would vanish; and where what
    keeps it from that is too much, it is less, and the step is taken."""
    from ditflow.backbones import CogVideoXBackbone
    from tests.conftest import tiny_pipeline

    exact, half = (CogVideoXBackbone(tiny_pipeline("5b"), "tiny") for _ in range(2))
    half.transformer.half()
    half.pipeline.text_encoder.half()

    def gradients(loss_scale: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """What Adam is given in float16, and what it should be."""
        seen = []

        class Optimiser(torch.optim.Adam):
            def step(self, closure=None):
                closure()
                seen.append(module.parameter.grad.clone())

        few = {"num_inference_steps": 2, "guided_share": 0.5, "optimization_steps": 1, "block": 2}
        module = MotionTransfer(half, objective=Faint(), **few)
        module.loss_scale = loss_scale or module.loss_scale
        module.configure_optimizers = lambda: Optimiser([module.parameter])
        data = MotionDataModule(video=reference_video, prompts=["x"])
        make_trainer(tmp_path, injection=False).fit(module, data)
        latents = module.samplers[0].noise.float().requires_grad_()
        positions = exact.positions(tuple(latents.shape))
        timestep = module.samplers[0].timesteps[0]
        given = PassInput(latents, timestep, exact.encode_prompt("x"), positions)
        outputs = exact.query_key(given, 2)
        module.objective.loss(outputs, module.reference_motion).backward()
        return seen[0], latents.grad

    ours, true = gradients()
    assert true.abs().max() > 0
    assert (ours - true).norm() < 0.1 * true.norm()
    after_overflow, true = gradients(2.0**60)
    assert (after_overflow - true).norm() < 0.1 * true.norm()
    plain, true = gradients(1.0)
    assert (plain - true).norm() > 0.5 * true.norm()
