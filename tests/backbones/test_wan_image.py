"""Wan's image-to-video models: the conformance suite, and what only they have."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from diffusers.pipelines.wan import pipeline_wan_i2v
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from ditflow.backbones.base import PassInput
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.image_to_video import WanFirstFrameBackbone, WanImageBackbone
from ditflow.backbones.wan.loading import adapter_of_stock
from ditflow.plan.recipe import prepare
from ditflow.settings.stacked import read_settings
from tests.backbones.conformance import BackboneConformance
from tests.backbones.tiny_wan.loading import tiny_pipeline

DIFFERENT = (
    "test_sampling_equals_the_stock_pipeline_to_the_bit",
    "test_early_exit_gives_a_whole_pass_queries_and_keys",
    "test_gradients_also_with_checkpointing_and_of_no_weight",
    "test_a_saved_sampler_goes_on_to_the_bit",
    "test_applied_to_equals_predict",
)


def tiny_image_pipeline(kind: str) -> WanImageToVideoPipeline:
    """An untrained pipeline of the real classes, as `2.1`, `a14b` or `5b`."""
    plain = tiny_pipeline()
    parts = dict(plain.components)
    with torch.random.fork_rng():
        torch.manual_seed(1)

        def transformer() -> WanTransformer3DModel:
            changes = {} if kind == "5b" else {"in_channels": 12}
            if kind == "2.1":
                changes |= {"image_dim": 16, "added_kv_proj_dim": 32}
            made = WanTransformer3DModel.from_config(dict(plain.transformer.config) | changes)
            for weight in made.parameters():
                torch.nn.init.normal_(weight, std=0.2)
            return made.eval()

        parts["transformer"] = transformer()
        if kind == "a14b":
            parts |= {"transformer_2": transformer(), "boundary_ratio": 0.6}
        if kind == "2.1":
            config = CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=3,
                num_attention_heads=2,
                image_size=32,
                patch_size=8,
            )
            parts["image_encoder"] = CLIPVisionModel(config).eval()
            parts["image_processor"] = CLIPImageProcessor(
                size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
            )
    pipeline = WanImageToVideoPipeline(**parts, expand_timesteps=kind == "5b")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module", autouse=True)
def cleaned():
    """The stock pipeline cleans prompts by a package that it may do without, but does not."""
    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(pipeline_wan_i2v, "ftfy"):
            cleaner = SimpleNamespace(fix_text=str)
            patch.setattr(pipeline_wan_i2v, "ftfy", cleaner, raising=False)
        yield


class OfSize:
    """Trained on smaller videos."""

    def default_size(self) -> tuple[int, int, int]:
        return 9, 32, 32


class TinyImage(OfSize, WanImageBackbone):
    pass


class TinyFirstFrame(OfSize, WanFirstFrameBackbone):
    pass


class TestWan21Image(BackboneConformance):
    """A mask, the latents of the image and nothing, and what CLIP sees in it."""

    kind, adapter, with_image = "2.1", TinyImage, True
    wrong_sizes = (((10, 32, 32), "num_frames"), ((9, 40, 32), "height"), ((9, 32, 4), "width"))

    @pytest.fixture(scope="class")
    def backbone(self):
        return self.adapter(tiny_image_pipeline(self.kind), self.kind)

    @pytest.fixture(scope="class")
    def stock(self):
        return tiny_image_pipeline(self.kind)

    def blocks(self, pipeline):
        return pipeline.transformer.blocks

    def test_the_image_tells(self, backbone, given):
        flipped = self.image_of(self.size).flip(-1)
        other = backbone.encode_image(flipped, tuple(given.latents.shape))
        for name, part in given.condition._asdict().items():
            if part is None:
                continue
            changed = given.condition._replace(**{name: getattr(other, name)})
            made = backbone.denoise(given._replace(condition=changed), None, 1.0)
            assert (backbone.denoise(given, None, 1.0) - made).abs().max() > 1e-4


class TestWanA14BImage(TestWan21Image):
    """The same without CLIP, and two transformers; of the suite what that makes a difference to."""

    kind = "a14b"
    for name in vars(BackboneConformance):
        if name.startswith("test_") and name not in DIFFERENT:
            locals()[name] = None
    del name


class TestWan5BImage(TestWanA14BImage):
    """The image in the place of the first frame, at timestep 0."""

    kind, adapter = "5b", TinyFirstFrame


def test_an_adapter_by_the_pipelines_class():
    stock = tiny_pipeline()
    assert not adapter_of_stock(stock).takes_image
    for kind, needs in (("2.1", True), ("a14b", True), ("5b", False)):
        made = adapter_of_stock(tiny_image_pipeline(kind))
        assert (made.takes_image, made.needs_image) == (True, needs)
    of_text = WanPipeline(**stock.components, expand_timesteps=True)
    assert isinstance(adapter_of_stock(of_text), WanFirstFrameBackbone)


def test_the_5b_may_go_without_an_image():
    pipeline = tiny_image_pipeline("5b")
    backbone = TinyFirstFrame(pipeline, "5b")
    latents = torch.randn(backbone.latent_shape(5, 32, 32), generator=torch.Generator())
    prompt, positions = backbone.encode_prompt("a"), backbone.positions(tuple(latents.shape))
    given = PassInput(latents, 500, prompt, positions)
    of_text = WanBackbone(pipeline, "5b").denoise(given, None, 1.0)
    assert backbone.denoise(given, None, 1.0).equal(of_text)
    assert backbone.finished(latents, None) is latents


def load_tiny(kind: str) -> TinyImage:
    return TinyImage(tiny_image_pipeline(kind), kind)


@pytest.mark.parametrize("kind", ["2.1", "a14b"])
def test_a_plan_has_the_image_and_its_encoder(kind):
    loader = {"class_path": f"{__name__}.load_tiny", "init_args": {"kind": kind}}
    planned = prepare(read_settings({"model": {"backbone": loader, "block": 1}}))
    plan = planned.planner.plan({})
    assert "encoding the image" in [phase.name for phase in plan.phases]
    weights = sum(
        weight.numel() * weight.itemsize
        for part in planned.backbone.pipeline.components.values()
        if isinstance(part, torch.nn.Module)
        for weight in part.parameters()
    )
    assert plan.resident[0] == weights
