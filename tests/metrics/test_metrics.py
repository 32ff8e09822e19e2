"""The metric classes, and their states across processes."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from ditflow import DitflowError
from ditflow.functional import Tracks
from ditflow.functional.tracks import motion_fidelity, released_fidelity, trajectory_error
from ditflow.metrics import (
    Look,
    MotionFidelity,
    PromptAdherence,
    TemporalConsistency,
    TrajectoryError,
    load_clip,
)
from ditflow.sprites.recipe.models import build_clip, build_clip_processor
from ditflow.sprites.render import render
from tests.conftest import straight_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of the shipped one's shape with random weights, saved and loaded."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    processor = build_clip_processor()
    build_clip(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return load_clip(str(folder))


def tracks(seed: int) -> Tracks:
    generator = torch.Generator().manual_seed(seed)
    points = (torch.randn(6, 8, 2, generator=generator) + 1).cumsum(1) * 4
    return Tracks(points, torch.ones(6, 8, dtype=torch.bool), 90.0)


def test_means_over_pairs():
    pairs = [(tracks(0), tracks(1)), (tracks(2), tracks(3))]
    for metric, function in (
        (MotionFidelity(), lambda a, b: motion_fidelity(a, b).score),
        (MotionFidelity(released=True), released_fidelity),
        (TrajectoryError(), trajectory_error),
    ):
        for pair in pairs:
            metric.update(*pair)
        expected = sum(function(*pair).item() for pair in pairs) / 2
        assert metric.compute().item() == pytest.approx(expected, abs=1e-6)
        metric.reset()
        assert metric.count == 0


def test_prompt_adherence_is_the_mean_cosine_over_frames(clip):
    video = render([straight_clip()])[0][:3]
    prompt = "a red circle on a gray background"
    pictures = [(255 * frame).round().byte().permute(1, 2, 0).numpy() for frame in video]
    inputs = clip.processor(images=pictures, text=[prompt], return_tensors="pt")
    with torch.no_grad():
        images = clip.model.vision_model(inputs["pixel_values"]).pooler_output
        texts = clip.model.text_model(inputs["input_ids"]).pooler_output
        cosines = F.cosine_similarity(
            clip.model.visual_projection(images), clip.model.text_projection(texts)
        )
    metric = PromptAdherence(clip)
    metric.update(video, prompt)
    # torchmetrics holds scores at 0 where they would be negative.
    assert metric.compute().item() == pytest.approx(max(cosines.mean().item(), 0), abs=1e-5)
    assert cosines.mean() != 0
    look = Look(clip)
    look.update(video, prompt)
    look.update(video.flip(0), prompt)
    assert look.compute().item() == pytest.approx(cosines.mean().item(), abs=1e-5)


def test_temporal_consistency(clip):
    video = render([straight_clip()])[0]
    still = TemporalConsistency(clip)
    still.update(video[:1].expand(4, -1, -1, -1))
    assert still.compute().item() == pytest.approx(1, abs=1e-5)
    moving = TemporalConsistency(clip)
    moving.update(video[::6])
    assert moving.compute() < 1 - 1e-6


def test_a_clip_model_that_cannot_be_had_is_one_line(tmp_path):
    with pytest.raises(DitflowError, match="clip=.*sprites-clip"):
        load_clip(str(tmp_path / "missing"))


def _rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    metric = MotionFidelity()
    for seed in ((0, 2), (4,))[rank]:  # uneven shares
        metric.update(tracks(seed), tracks(seed + 1))
    torch.save(metric.compute(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_states_synchronise_across_ranks(tmp_path):
    torch.multiprocessing.spawn(_rank, args=(str(tmp_path),), nprocs=2)
    expected = sum(motion_fidelity(tracks(s), tracks(s + 1)).score.item() for s in (0, 2, 4)) / 3
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt").item() == pytest.approx(expected, abs=1e-6)
