"""Motion fidelity and trajectory error against naive loops, and on known motions."""

import math

import pytest
import torch

from ditflow.functional import (
    Tracks,
    frechet_distance,
    motion_fidelity,
    released_fidelity,
    track_similarity,
    trajectory_error,
)

DIAGONAL = 100.0


def tracks_of(points: torch.Tensor, visible: torch.Tensor | None = None) -> Tracks:
    if visible is None:
        visible = torch.ones(points.shape[:2], dtype=torch.bool)
    return Tracks(points, visible, DIAGONAL)


def moving(direction: tuple[float, float], count: int = 5, steps: int = 9) -> torch.Tensor:
    """Points [count, steps, 2] that all move by `direction` a step."""
    starts = torch.rand(count, 1, 2, generator=torch.Generator().manual_seed(count)) * 60
    return starts + torch.arange(steps)[None, :, None] * torch.tensor(direction)


def random_walks(seed: int, count: int = 7, steps: int = 6) -> Tracks:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, steps, 2, generator=generator).cumsum(1) * 5
    points[0, 2] = points[0, 1]  # a step that holds still
    visible = torch.rand(count, steps, generator=generator) > 0.15
    return tracks_of(points, visible)


def naive_similarity(first: Tracks, second: Tracks) -> torch.Tensor:
    table = torch.zeros(len(first.points), len(second.points))
    for n in range(len(first.points)):
        for m in range(len(second.points)):
            total, steps = 0.0, 0
            for t in range(first.points.shape[1] - 1):
                pairs = [(first, n), (second, m)]
                if not all(side.visible[k, t] and side.visible[k, t + 1] for side, k in pairs):
                    continue
                a, b = (side.points[k, t + 1] - side.points[k, t] for side, k in pairs)
                steps += 1
                if a.norm() < 0.1 or b.norm() < 0.1:  # 0.001 of the diagonal
                    total += float(a.norm() < 0.1 and b.norm() < 0.1)
                else:
                    total += float(a @ b / (a.norm() * b.norm()))
            table[n, m] = total / steps if steps else 0.0
    return table


def naive_frechet(a: torch.Tensor, b: torch.Tensor) -> float:
    """The textbook recursion, by memory."""
    memory: dict[tuple[int, int], float] = {}

    def reach(i: int, j: int) -> float:
        if (i, j) not in memory:
            here = math.dist(a[i].tolist(), b[j].tolist())
            before = [
                reach(p, q)
                for p, q in ((i - 1, j), (i, j - 1), (i - 1, j - 1))
                if p >= 0 and q >= 0
            ]
            memory[i, j] = max(here, min(before)) if before else here
        return memory[i, j]

    return reach(len(a) - 1, len(b) - 1)


def test_similarity_equals_a_loop():
    first, second = random_walks(0), random_walks(1, count=4)
    torch.testing.assert_close(track_similarity(first, second), naive_similarity(first, second))


def test_released_fidelity_equals_a_loop():
    first, second = random_walks(2), random_walks(3)
    best = []
    for j, track in enumerate(first.points):
        row = []
        for i, other in enumerate(second.points):
            cosines = [
                torch.nn.functional.cosine_similarity(
                    track[t + 1] - track[t], other[t + 1] - other[t], dim=0
                )
                for t in range(5)
            ]
            row.append(float(sum(cosines) / 5) - (i == j))
        best.append(max(row))
    assert released_fidelity(first, second).item() == pytest.approx(sum(best) / 7, abs=1e-5)


def test_frechet_distance_equals_the_recursion():
    first, second = random_walks(4).points, random_walks(5, steps=4).points
    expected = [naive_frechet(a, b) for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(frechet_distance(first, second), torch.tensor(expected))


def test_a_video_against_itself_scores_one_with_no_error():
    for tracks in (random_walks(6), tracks_of(moving((3, 0))), tracks_of(moving((0, 0)))):
        assert motion_fidelity(tracks, tracks).score.item() == pytest.approx(1, abs=1e-5)
        assert trajectory_error(tracks, tracks).item() == pytest.approx(0, abs=1e-6)


def test_reversed_or_mirrored_translations_score_clearly_less():
    right, left = tracks_of(moving((3, 0))), tracks_of(moving((-3, 0)))
    assert motion_fidelity(left, right).score < -0.9
    up, diagonal = tracks_of(moving((0, -3))), tracks_of(moving((3, 3)))
    assert abs(motion_fidelity(up, right).score) < 0.1
    assert 0.6 < motion_fidelity(diagonal, right).score < 0.8


def test_static_background_neither_helps_nor_harms():
    still = moving((0, 0), count=50)
    right = tracks_of(torch.cat([moving((3, 0)), still]))
    left = tracks_of(torch.cat([moving((-3, 0)), still]))
    result = motion_fidelity(left, right)
    assert result.score < -0.9
    assert result.moving.item() == pytest.approx(5 / 55)


def test_motion_left_out_of_the_generation_lowers_the_score():
    both = tracks_of(torch.cat([moving((3, 0)), moving((-3, 0))]))
    one = tracks_of(moving((3, 0)))
    assert motion_fidelity(one, both).score.item() == pytest.approx(0.5, abs=1e-5)
    assert released_fidelity(tracks_of(moving((3, 0), 10)), both) > 0.5  # its defect


def test_static_videos_give_no_nan():
    still, right = tracks_of(moving((0, 0))), tracks_of(moving((3, 0)))
    assert motion_fidelity(still, still).score == 1
    assert motion_fidelity(still, right).score == motion_fidelity(right, still).score == 0
    for pair in ((still, still), (still, right), (right, still)):
        assert released_fidelity(*pair).isfinite()
        assert trajectory_error(*pair).isfinite()
    assert trajectory_error(still, right).item() == pytest.approx(0.24, abs=0.1)  # 24 px of 100


def test_tracks_lost_early_and_unseen_points_do_not_count():
    points = torch.cat([moving((3, 0)), moving((-3, 0))])
    visible = torch.ones(points.shape[:2], dtype=torch.bool)
    visible[5:, 3:] = False  # those that move left are soon lost
    right = tracks_of(moving((3, 0)))
    assert motion_fidelity(tracks_of(points, visible), right).score.item() == pytest.approx(1)
    jump = moving((3, 0))
    jump[:, 4] = 0  # a wrong place, but unseen
    seen = torch.ones(jump.shape[:2], dtype=torch.bool)
    seen[:, 4] = False
    assert motion_fidelity(tracks_of(jump, seen), right).score.item() == pytest.approx(1)
    assert trajectory_error(tracks_of(jump, seen), right) < 0.1


def test_videos_of_different_length_are_cut_to_the_shorter():
    long, short = tracks_of(moving((3, 0), steps=20)), tracks_of(moving((3, 0), steps=9))
    assert motion_fidelity(long, short).score.item() == pytest.approx(1, abs=1e-5)
    assert trajectory_error(long, short).item() == pytest.approx(0, abs=1e-6)
