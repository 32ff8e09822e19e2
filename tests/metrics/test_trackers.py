"""Trackers on clips whose motion is known."""

from dataclasses import replace
from urllib.error import URLError

import pytest
import torch

from ditflow import DitflowError
from ditflow.functional import motion_fidelity, moving_tracks, trajectory_error
from ditflow.metrics import LucasKanade, load_tracker
from ditflow.sprites.render import render
from tests.conftest import reversed_clip, straight_clip

GRID = 24


def tracked(clip):
    return LucasKanade().track(render([clip])[0], GRID)


@pytest.mark.parametrize("color", ["red", "yellow", "blue", "pink"])
def test_lucas_kanade_follows_the_sprite(color):
    clip = replace(straight_clip(), color=color, shape="cross")
    tracks = tracked(clip)
    centres = torch.tensor(clip.path) * 64 - 0.5
    near = (tracks.points[:, 0] - centres[0]).norm(dim=-1) < clip.radius * 64 * 0.6
    seen = near & tracks.visible[:, -1]
    assert seen.sum() > 0.8 * near.sum()
    moved = (tracks.points[seen, -1] - tracks.points[seen, 0]).mean(0)
    torch.testing.assert_close(moved, centres[-1] - centres[0], atol=2.0, rtol=0)
    # Far from the sprite's way nothing moves.
    away = (tracks.points[:, 0, 1] - centres[0, 1]).abs() > 0.42 * 64
    assert moving_tracks(tracks)[away].float().mean() < 0.05


def test_fidelity_of_decoded_motion():
    clip = straight_clip()
    reference = tracked(clip)
    assert motion_fidelity(reference, reference).score.item() == pytest.approx(1, abs=1e-4)
    assert trajectory_error(reference, reference).item() == pytest.approx(0, abs=1e-3)
    other = replace(clip, color="cyan", shape="square", background="navy", texture_seed=9)
    alike = motion_fidelity(tracked(other), reference).score
    mirrored = LucasKanade().track(render([clip])[0].flip(-1), GRID)
    for opposite in (tracked(reversed_clip(clip)), mirrored):
        assert motion_fidelity(opposite, reference).score < alike - 0.5
        assert trajectory_error(opposite, reference) > trajectory_error(tracked(other), reference)


def test_a_video_in_which_nothing_moves():
    still = render([replace(straight_clip(), path=((0.5, 0.5),) * 25)])[0]
    tracks = LucasKanade().track(still, GRID)
    assert not moving_tracks(tracks).any()
    assert motion_fidelity(tracks, tracks).score == 1
    assert motion_fidelity(tracks, tracked(straight_clip())).score == 0


def test_cotracker_out_of_reach_is_one_line(monkeypatch):
    def unreachable(*_args, **_options):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load", unreachable)
    with pytest.raises(DitflowError, match="tracker=cotracker3.*no network.*lucas-kanade"):
        load_tracker("cotracker3")


def test_cotracker_is_asked_and_read_as_documented(monkeypatch):
    class Model(torch.nn.Module):
        """Takes and gives what the released model documents: [B, T, N, 2] and [B, T, N, 1]."""

        def forward(self, video, queries):
            assert video.shape == (1, 5, 3, 32, 48)
            assert video.max() > 1  # 0 to 255
            assert queries.shape == (1, GRID**2, 3)
            assert (queries[..., 0] == 0).all()
            steps = torch.arange(5)[None, :, None, None]
            points = queries[:, None, :, 1:] + steps * torch.tensor([2.0, 0.0])
            return points, torch.ones(1, 5, GRID**2, 1)

    monkeypatch.setattr(torch.hub, "load", lambda *_args, **_options: Model())
    tracks = load_tracker("cotracker3").track(torch.rand(5, 3, 32, 48), GRID)
    assert tracks.points.shape == (GRID**2, 5, 2)
    assert tracks.visible.shape == (GRID**2, 5)
    assert (tracks.points[:, -1] - tracks.points[:, 0] == torch.tensor([8.0, 0.0])).all()
