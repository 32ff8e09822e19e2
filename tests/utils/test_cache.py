"""What is kept between runs: made once, safe to delete, never in the way."""

import pytest
import torch

from ditflow import MotionDataModule, MotionTransfer
from ditflow.callbacks import KVInjection
from ditflow.reference import encode
from ditflow.runs.quiet import quiet_trainer
from ditflow.utils.cache import cache_folder, cached_json, cached_tensor


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DITFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Count:
    """Counts how often something is made."""

    def __init__(self, result):
        self.result, self.made = result, 0

    def __call__(self):
        self.made += 1
        return self.result


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DITFLOW_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("DITFLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ditflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ditflow"


@pytest.mark.parametrize(
    ("cached", "result"),
    [(cached_json, {"a": [1, "b"]}), (cached_tensor, torch.arange(3.0).to(torch.bfloat16))],
)
def test_made_once_for_a_key_and_again_when_deleted_or_damaged(cache, cached, result):
    make = Count(result)
    for key in ("x", "x", ["y", 1], ["y", 1]):
        assert str(cached("things", key, make)) == str(result)
    assert make.made == 2
    files = sorted((cache / "things").iterdir())
    assert len(files) == 2
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:5])
    for key in ("x", ["y", 1]):
        assert str(cached("things", key, make)) == str(result)
    assert make.made == 4


@pytest.mark.parametrize(("cached", "result"), [(cached_json, 1), (cached_tensor, torch.ones(2))])
def test_does_without_a_folder_that_cannot_be_written_to(cache, cached, result):
    cache.write_text("a file in the folder's place")
    make = Count(result)
    for _ in range(2):
        assert str(cached("things", "x", make)) == str(result)
    assert make.made == 2
    assert cache.read_text() == "a file in the folder's place"


def test_latents_depend_on_frames_weights_and_tiling(tiny, cache, monkeypatch):
    frames = torch.rand(9, 3, 32, 32)
    first = encode(tiny, frames, cache=True)
    calls = Count(first)
    monkeypatch.setattr(tiny, "encode_video", lambda frames: calls())
    again = encode(tiny, frames.clone(), cache=True)
    assert calls.made == 0
    assert torch.equal(first, again)
    assert again.dtype == first.dtype
    encode(tiny, frames.flip(0), cache=True)
    assert calls.made == 1
    tiny.pipeline.vae.enable_tiling()
    encode(tiny, frames, cache=True)
    assert calls.made == 2
    tiny.pipeline.vae.disable_tiling()
    next(tiny.pipeline.vae.parameters()).data[0] += 1
    encode(tiny, frames, cache=True)
    assert calls.made == 3
    encode(tiny, frames, cache=False)
    assert calls.made == 4


def test_a_second_fit_encodes_nothing_and_is_the_same(rope, reference_video, cache, tmp_path):
    calls = Count(None)
    encode_video = rope.encode_video

    def noted(frames):
        calls()
        return encode_video(frames)

    def fit(**options):
        module = MotionTransfer(
            rope, num_inference_steps=2, guided_share=0.5, optimization_steps=1, block=2
        )
        module.progress = False
        data = MotionDataModule(video=reference_video, prompts=["a red circle"], **options)
        quiet_trainer(str(tmp_path), [KVInjection()], rope.device).fit(module, data)
        return module.videos[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rope, "encode_video", noted)
        first, second, third = fit(), fit(), fit(cache=False)
    assert calls.made == 2
    assert torch.equal(first, second)
    assert torch.equal(first, third)
