"""What any backbone must do: a class of tests that an adapter is put through by a subclass.

    class TestMine(BackboneConformance):
        @pytest.fixture(scope="class")
        def backbone(self):
            return MyBackbone(tiny_pipeline(), "mine")

        @pytest.fixture(scope="class")
        def stock(self):
            return tiny_pipeline()  # the same weights, in no adapter's hands

A pipeline of the real classes, tiny and untrained, of at least three blocks and with weights large
enough that attention tells tokens apart, is enough: see `tests/backbones/tiny_wan/`.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from ditflow import DitflowError, MotionEmbedding
from ditflow.backbones.base import KeyValues
from ditflow.backbones.images import condition_on
from ditflow.functional.parameterization import initial_parameter, positions_of
from ditflow.sampling import SamplerOptions
from ditflow.video.pictures import as_image
from tests.backbones.stock_calls import StockCalls
from tests.test_module import TARGETS, fit, predict

OTHER = "a yellow circle on a navy background"


class BackboneConformance(StockCalls):
    """Tests of a backbone against its stock pipeline; fixtures `backbone` and `stock` are given by
    the subclass, class-scoped, over equal weights. What else a family may have to say, such as
    where its blocks are, is in `StockCalls`."""

    # -- as the stock pipeline -------------------------------------------------------------------

    @pytest.mark.parametrize("guidance", [1.0, 3.0])
    def test_sampling_equals_the_stock_pipeline_to_the_bit(self, backbone, stock, guidance):
        for size in self.sizes:
            shape = backbone.latent_shape(*size)
            options = SamplerOptions(3, guidance, negative_prompt="a blue ring")
            sampler = self.sampler(backbone, options, size)
            for step in range(3):
                sampler.advance(step, sampler.predict(step, backbone.positions(shape)))
            latents = backbone.finished(sampler.latents, sampler.condition)
            ours = backbone.decode_video(latents, size[0])
            negative = {} if guidance == 1 else {"negative_prompt": "a blue ring"}
            theirs = self.call(stock, size, guidance_scale=guidance, **negative)
            assert ours.shape == theirs.shape
            self.same(ours, theirs)

    def test_early_exit_gives_a_whole_pass_queries_and_keys(self, backbone, stock, given):
        with self.attended(stock) as whole:
            self.call(stock, self.size, num_inference_steps=1)
        every = range(backbone.num_blocks)
        assert len(whole) == backbone.num_blocks
        for block, outputs in zip(every, backbone.query_keys(given, every), strict=True):
            alone = backbone.query_key(given, block)
            count = outputs.query.shape[1]
            frames, height, width = outputs.grid
            assert count == frames * height * width
            for name in ("query", "key"):
                theirs, _ = self.image_tokens(getattr(whole[block], name), count)
                self.same(getattr(outputs, name), theirs[0])
                self.same(getattr(alone, name), theirs[0])

    def test_features_are_a_whole_pass_output_of_the_block(self, backbone, stock, given):
        seen: list[Tensor] = []
        handles = [
            block.register_forward_hook(
                lambda _m, _i, output: seen.append(
                    output[0] if isinstance(output, tuple) else output
                )
            )
            for block in self.blocks(stock)
        ]
        self.call(stock, self.size, num_inference_steps=1)
        for handle in handles:
            handle.remove()
        for block, theirs in enumerate(seen):
            ours = backbone.features(given, block)
            self.same(ours.features, theirs[0])

    @pytest.mark.parametrize(("read", "finished"), [("query_key", [0]), ("features", [0, 1])])
    def test_early_exit_runs_no_later_block(self, backbone, given, read, finished):
        ran: list[int] = []
        handles = [
            block.register_forward_hook(lambda *_, index=index: ran.append(index))
            for index, block in enumerate(self.blocks(backbone.pipeline))
        ]
        getattr(backbone, read)(given, block=1)
        assert ran == finished
        # The early exit is gone again.
        backbone.denoise(given, None, 1.0)
        assert ran == [*finished, *range(backbone.num_blocks)]
        for handle in handles:
            handle.remove()

    def test_a_block_out_of_range_is_refused(self, backbone, given):
        last = backbone.num_blocks - 1
        for block in (-1, last + 1):
            with pytest.raises(DitflowError, match=f"block={block}.*blocks 0 to {last}"):
                backbone.query_key(given, block)

    # -- sizes -----------------------------------------------------------------------------------

    def test_shapes_of_every_size(self, backbone):
        for size in (*self.sizes, backbone.default_size()):
            backbone.check_size(*size)
            shape = backbone.latent_shape(*size)
            frames, height, width = backbone.token_grid(shape)
            tokens = frames * height * width
            assert backbone.coordinates(shape).shape == (tokens, 3)
            assert {part.shape[0] for part in backbone.positions(shape)} == {tokens}
            assert backbone.initial_noise(shape, torch.Generator()).shape == shape

    def test_a_video_goes_to_latents_and_back(self, backbone):
        for size in self.sizes:
            video = torch.rand(size[0], 3, *size[1:])
            latents = backbone.encode_video(video)
            assert tuple(latents.shape) == tuple(backbone.latent_shape(*size))
            again = backbone.decode_video(latents, size[0])
            assert again.shape == video.shape
            assert 0 <= again.min() <= again.max() <= 1

    def test_sizes_that_do_not_fit_name_the_nearest(self, backbone):
        for size, option in self.wrong_sizes:
            with pytest.raises(DitflowError, match=rf"{option}=.*use "):
                backbone.check_size(*size)

    # -- positions -------------------------------------------------------------------------------

    def test_coordinates_at_their_start_give_the_stock_positions(self, backbone):
        for size in self.sizes:
            shape = backbone.latent_shape(*size)
            ours = backbone.positions_at(backbone.coordinates(shape))
            for ours_part, stock in zip(ours, backbone.positions(shape), strict=True):
                torch.testing.assert_close(ours_part.float(), stock.float(), atol=1e-6, rtol=0)

    def test_the_positions_that_are_given_are_those_that_are_used(self, backbone, given):
        coordinates = backbone.coordinates(tuple(given.latents.shape))
        plain = backbone.denoise(given, None, 1.0)

        def changed(moved: Tensor) -> float:
            positions = backbone.positions_at(moved)
            made = backbone.denoise(given._replace(positions=positions), None, 1.0)
            return (made - plain).abs().max().item()

        assert changed(coordinates) < 1e-5
        assert changed(coordinates.flip(0)) > 1e-4
        # Rotary attention of image tokens sees differences of positions only.
        shifted = changed(coordinates + 1.5) / plain.abs().max()
        assert shifted < 2e-3 if backbone.rotary else shifted > 1e-2
        if backbone.rotary:  # but of keys alone a shift is seen
            apart = given.positions + backbone.positions_at(coordinates + 1.5)
            made = backbone.denoise(given._replace(positions=apart), None, 1.0)
            assert (made - plain).abs().max() > 1e-4

    # -- gradients -------------------------------------------------------------------------------

    @pytest.mark.parametrize("read", ["query_key", "features"])
    @pytest.mark.parametrize("target", ["latents", "values", "coordinates"])
    def test_gradients_also_with_checkpointing_and_of_no_weight(
        self, backbone, given, target, read
    ):
        shape = tuple(given.latents.shape)
        other = backbone.record_key_values(given._replace(latents=given.latents.flip(-1)))
        # Far from the generation's own: computed again without them, the gradient would be another.
        other = KeyValues(0, 30 * other.key, 30 * other.value)

        def gradient(injected: bool = True) -> Tensor:
            if target == "latents":
                parameter = given.latents.detach().clone().requires_grad_()
                made = given._replace(latents=parameter)
            else:
                parameter = initial_parameter(
                    given.positions, backbone.coordinates(shape), target, separate_query_key=True
                ).requires_grad_()
                positions = positions_of(parameter, target, backbone.positions_at)
                made = given._replace(positions=positions)
            with backbone.injected(other) if injected else nullcontext():
                outputs = getattr(backbone, read)(made, block=2)
            if read == "query_key":
                (outputs.query.sin() * outputs.key.cos()).mean().backward()
            else:
                outputs.features.std(0).mean().backward()
            return parameter.grad

        plain = gradient()
        assert plain.isfinite().all()
        assert plain.abs().max() > 0
        assert (gradient(injected=False) - plain).norm() > 0.01 * plain.norm()
        transformer = backbone.pipeline.transformer
        transformer.enable_gradient_checkpointing()
        try:
            self.same(gradient(), plain)
        finally:
            transformer.disable_gradient_checkpointing()
        assert all(not w.requires_grad and w.grad is None for w in transformer.parameters())

    # -- injection -------------------------------------------------------------------------------

    @pytest.mark.parametrize("block", [0, 1])
    def test_injection_replaces_image_tokens_only(self, backbone, given, block):
        other = backbone.record_key_values(given._replace(latents=given.latents.flip(-1)), block)
        with self.attended(backbone.pipeline) as plain:
            backbone.denoise(given, None, 1.0)
        with self.attended(backbone.pipeline) as changed, backbone.injected(other):
            backbone.denoise(given, None, 1.0)
        count = other.key.shape[2]
        for name in ("query", "key", "value"):
            own, own_text = self.image_tokens(getattr(plain[block], name), count)
            image, text = self.image_tokens(getattr(changed[block], name), count)
            assert text.equal(own_text)
            assert image.equal(own) == (name == "query")
        image, _ = self.image_tokens(changed[block].value, count)
        assert image.equal(other.value)

    def test_injecting_ones_own_keys_and_values_changes_nothing(self, backbone, given):
        plain = backbone.denoise(given, None, 1.0)
        with backbone.injected(backbone.record_key_values(given)):
            injected = backbone.denoise(given, None, 1.0)
        torch.testing.assert_close(injected, plain, atol=1e-6, rtol=0)
        other = backbone.record_key_values(given._replace(latents=given.latents.flip(-1)))
        with backbone.injected(other):
            changed = backbone.denoise(given, None, 1.0)
        assert (changed - plain).abs().max() > 1e-3
        self.same(backbone.denoise(given, None, 1.0), plain)

    def test_injected_keys_are_unrotated_so_that_positions_act_on_them(self, backbone, given):
        if not backbone.rotary:
            pytest.skip("added positions are part of what is recorded")
        moved = backbone.positions_at(backbone.coordinates(tuple(given.latents.shape)) * 0.7)
        first = backbone.record_key_values(given)
        second = backbone.record_key_values(given._replace(positions=moved))
        assert first.key.equal(second.key)

    # -- nothing is left -------------------------------------------------------------------------

    @pytest.mark.parametrize("where", ["record", "injection", "features", "denoise"])
    def test_the_model_is_as_it_was_after_an_exception(self, backbone, given, where):
        transformer = backbone.pipeline.transformer

        def state() -> tuple[list[int], list[Tensor]]:
            hooks = [
                len(module._forward_hooks) + len(module._forward_pre_hooks)
                for module in transformer.modules()
            ]
            return hooks, [buffer.clone() for buffer in transformer.buffers()]

        other = backbone.latent_shape(*self.sizes[1])
        default = given._replace(
            latents=torch.randn(other, device=backbone.device),
            positions=backbone.positions(other),
            condition=condition_on(backbone, self.image_of(self.sizes[1]), other),
        )
        before = [backbone.denoise(made, None, 1.0) for made in (given, default)]
        hooks, buffers = state()
        key_values = backbone.record_key_values(given._replace(timestep=900))

        def fail(*_: Any) -> None:
            raise RuntimeError("stop here")

        def injected() -> None:
            with backbone.injected(key_values):
                backbone.denoise(given, None, 1.0)

        run = {
            "record": lambda: backbone.query_key(given, 2),
            "features": lambda: backbone.features(given, 2),
            "denoise": lambda: backbone.denoise(given, given.prompt, 3.0),
            "injection": injected,
        }[where]
        attention = self.self_attention(self.blocks(backbone.pipeline)[1])
        handle = attention.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="stop here"):
            run()
        handle.remove()
        assert state()[0] == hooks
        assert all(map(torch.equal, state()[1], buffers))
        for made, plain in zip((given, default), before, strict=True):
            self.same(backbone.denoise(made, None, 1.0), plain)

    # -- the solver ------------------------------------------------------------------------------

    def test_a_saved_sampler_goes_on_to_the_bit(self, backbone):
        shape = backbone.latent_shape(*self.size)
        positions, options = backbone.positions(shape), SamplerOptions(4, 1.0)
        whole, halves = (self.sampler(backbone, options) for _ in range(2))
        for step in range(2):
            whole.advance(step, whole.predict(step, positions))
        halves.load_state_dict(whole.state_dict())
        for sampler in (whole, halves):
            for step in (2, 3):
                sampler.advance(step, sampler.predict(step, positions))
        self.same(whole.latents, halves.latents)

    def test_steps_have_less_and_less_noise(self, backbone):
        shape = backbone.latent_shape(*self.size)
        sampler = self.sampler(backbone, SamplerOptions(5, 1.0))
        clean = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(backbone.device)
        distances = [(sampler.noised(clean, step) - clean).norm().item() for step in range(5)]
        assert distances == sorted(distances, reverse=True)
        schedule = sampler.solver.schedule
        assert schedule == backbone.solver(5).schedule
        assert list(schedule.timesteps) == sampler.timesteps.tolist()

    def test_the_last_step_leads_to_the_clean_prediction(self, backbone):
        """As `Solver.clean` tells it to objectives of the prediction."""
        shape = backbone.latent_shape(*self.size)
        sampler = self.sampler(backbone, SamplerOptions(4, 1.0))
        prediction = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        prediction = prediction.to(sampler.latents)
        of_latents, of_prediction = sampler.solver.clean(3)
        expected = of_latents * sampler.latents + of_prediction * prediction
        sampler.advance(3, prediction)
        torch.testing.assert_close(sampler.latents, expected, atol=1e-4, rtol=1e-4)

    def test_several_steps_at_once_end_at_the_video_too(self, backbone):
        shape = backbone.latent_shape(*self.size)
        positions = backbone.positions(shape)
        options = SamplerOptions(6, 1.0, unguided_stride=4)
        sampler = self.sampler(backbone, options)
        steps = list(options.unguided(0))
        assert steps == [(0, 4), (4, 2)]
        for step, jump in steps:
            sampler.advance(step, sampler.predict(step, positions), jump)
        assert sampler.latents.isfinite().all()

    # -- a motion in the pipeline's own calls ----------------------------------------------------

    @pytest.mark.parametrize(("target", "parameterization", "separate"), TARGETS)
    def test_applied_to_equals_predict(
        self,
        backbone,
        stock,
        tmp_path: Path,
        reference_video: Path,
        target,
        parameterization,
        separate,
    ):
        options = {"block": 1, "guidance_scale": 3.0, "seed": 4, "num_inference_steps": 4}
        given = dict(zip(("num_frames", "height", "width"), self.size, strict=True))
        image, pictured = self.image_of(self.size), {}
        if image is not None:
            pictured["image"] = tmp_path / "image.png"
            as_image(image).save(pictured["image"])
        given |= pictured
        fit(
            backbone,
            tmp_path,
            reference_video,
            target=target,
            parameterization=parameterization,
            separate_query_key=separate,
            learning_rate=0.05 if target == "latents" else 0.5,
            data=given,
            **options,
        )
        embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
        asked = {"prompts": [OTHER], "injection": False, "data": pictured}
        ours = predict(backbone, tmp_path, **asked, **options)[0]

        def made(pipeline: DiffusionPipeline) -> Tensor:
            return self.call(pipeline, self.size, prompt=OTHER, **embedding.call_arguments())

        plain, applicable = made(stock), self.applicable(stock)
        assert (ours - plain).abs().max() > 5e-6  # and no rounding: what is equal is so to the bit
        with embedding.applied_to(applicable) as pipeline:
            assert pipeline is stock
            self.same(made(pipeline), ours)
            self.same(made(pipeline), ours)
        self.same(made(stock), plain)
        with embedding.applied_to(backbone) as pipeline:
            self.same(made(pipeline), ours)
        with pytest.raises(RuntimeError, match="mine"), embedding.applied_to(applicable):
            raise RuntimeError("mine")
        self.same(made(stock), plain)
