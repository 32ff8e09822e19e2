"""How well the tracks of two videos agree: motion fidelity and trajectory error.

Tracks are [N, T, 2] points (column, row) in pixels with visibility [N, T] (bool); `diagonal` is
the frames' diagonal in pixels, which makes thresholds independent of size.
"""

from typing import NamedTuple

import torch

MOVING = 0.02
"""A track that never gets further than this share of the diagonal from its start is static."""

STILL_STEP = 0.001
"""A step shorter than this share of the diagonal holds still: below what trackers resolve."""

SEEN = 0.5
"""A track seen in less than this share of the steps is set apart: short ones match anything."""


class Tracks(NamedTuple):
    """Points followed through a video.

    Attributes:
        points: [N, T, 2] (column, row) in pixels.
        visible: [N, T] of bool.
        diagonal: of the frames, in pixels.
    """

    points: torch.Tensor
    visible: torch.Tensor
    diagonal: float


class Fidelity(NamedTuple):
    """Motion fidelity and the shares of tracks that move."""

    score: torch.Tensor
    moving: torch.Tensor
    reference_moving: torch.Tensor


def released_fidelity(tracks: Tracks, reference: Tracks) -> torch.Tensor:
    """Motion fidelity as published numbers were computed, a scalar.

    Unit displacements of every track are correlated with those of every reference track, averaged
    over time; the identity matrix is subtracted; then the best reference track of each generated
    one is averaged. Visibility is ignored, and points that hold still match nothing.

    Example:
        >>> line = torch.arange(5.0)[None, :, None] * torch.tensor([10.0, 0.0])
        >>> seen = torch.ones(1, 5, dtype=torch.bool)
        >>> right = Tracks(line, seen, 100.0)
        >>> released_fidelity(right, right)  # the identity matrix is taken off a track with itself
        tensor(0.)
    """
    ours, theirs = _same_length(tracks, reference)
    first, second = (_unit_steps(side.points) for side in (ours, theirs))
    similarity = first.flatten(1) @ second.flatten(1).T / first.shape[1]
    similarity -= torch.eye(*similarity.shape, device=similarity.device)
    return similarity.amax(1).mean()


def motion_fidelity(tracks: Tracks, reference: Tracks) -> Fidelity:
    """Motion fidelity without the released form's defects, a scalar in [-1, 1].

    Static tracks are set apart; without any moving track in both videos the score is 1, in one of
    them 0. Each generated track's best reference track and each reference track's best generated
    one are averaged, so that neither motion left out nor motion added goes unseen.

    Example:
        >>> line = torch.arange(5.0)[None, :, None] * torch.tensor([10.0, 0.0])
        >>> seen = torch.ones(1, 5, dtype=torch.bool)
        >>> right = Tracks(line, seen, 100.0)
        >>> left = Tracks(-line, seen, 100.0)
        >>> motion_fidelity(right, right).score, motion_fidelity(left, right).score
        (tensor(1.), tensor(-1.))
    """
    ours, theirs = _same_length(tracks, reference)
    first, second = moving_tracks(ours), moving_tracks(theirs)
    shares = first.float().mean(), second.float().mean()
    if not (first.any() and second.any()):
        agree = not (first.any() or second.any())
        return Fidelity(shares[0].new_tensor(float(agree)), *shares)
    similarity = track_similarity(_select(ours, first), _select(theirs, second))
    return Fidelity((similarity.amax(1).mean() + similarity.amax(0).mean()) / 2, *shares)


def moving_tracks(tracks: Tracks) -> torch.Tensor:
    """Which tracks move and are seen long enough, [N] of bool.

    Example:
        >>> points = torch.zeros(2, 3, 2)
        >>> points[1, :, 0] = torch.tensor([0.0, 10.0, 20.0])
        >>> moving_tracks(Tracks(points, torch.ones(2, 3, dtype=torch.bool), 100.0))
        tensor([False,  True])
    """
    held = _held(tracks)
    away = (held - held[:, :1]).norm(dim=-1).amax(1)
    return (away > MOVING) & (seen_steps(tracks).float().mean(1) >= SEEN)


def seen_steps(tracks: Tracks) -> torch.Tensor:
    """Which steps are seen at both ends, [N, T - 1] of bool.

    Example:
        >>> visible = torch.tensor([[True, True, False, True]])
        >>> seen_steps(Tracks(torch.zeros(1, 4, 2), visible, 100.0))
        tensor([[ True, False, False]])
    """
    return tracks.visible[:, 1:] & tracks.visible[:, :-1]


def track_similarity(tracks: Tracks, reference: Tracks) -> torch.Tensor:
    """Correlation of every pair of tracks, averaged over steps seen in both, [N, M].

    A step counts the cosine of the two displacements; 1 if both hold still, 0 if one does. One
    matrix product: the [N, M, T] tensor is never built. Pairs never seen together count as 0.

    Example:
        >>> line = torch.arange(5.0)[None, :, None] * torch.tensor([10.0, 0.0])
        >>> seen = torch.ones(1, 5, dtype=torch.bool)
        >>> right = Tracks(line, seen, 100.0)
        >>> track_similarity(right, Tracks(line.flip(-1), seen, 100.0))  # right and down
        tensor([[0.]])
    """
    first, seen_first = _step_features(tracks)
    second, seen_second = _step_features(reference)
    total = first.flatten(1) @ second.flatten(1).T
    steps = seen_first.float() @ seen_second.float().T
    return total / steps.clamp(min=1)


def trajectory_error(tracks: Tracks, reference: Tracks) -> torch.Tensor:
    """Discrete Fréchet distance between matched tracks, in diagonals, a scalar.

    Each moving track is matched with the moving track of the other video that stays nearest to it
    over time (where none moves, with the nearest static one), both ways: the best match of
    `motion_fidelity` would not do, since within one thing that moves all directions are alike.
    0 if nothing moves in both.

    Example:
        >>> line = torch.arange(5.0)[None, :, None] * torch.tensor([10.0, 0.0])
        >>> seen = torch.ones(1, 5, dtype=torch.bool)
        >>> right = Tracks(line, seen, 100.0)
        >>> trajectory_error(right, Tracks(line + 5.0, seen, 100.0)).round(decimals=3)
        tensor(0.0710)
    """
    ours, theirs = _same_length(tracks, reference)
    sides = [(_held(side), moving_tracks(side)) for side in (ours, theirs)]
    errors = []
    for (these, moving), (those, candidates) in (sides, sides[::-1]):
        if not moving.any():
            continue
        first, second = these[moving], those[candidates] if candidates.any() else those
        nearest = torch.cdist(first.flatten(1), second.flatten(1)).argmin(1)
        errors.append(frechet_distance(first, second[nearest]).mean())
    return torch.stack(errors).mean() if errors else ours.points.new_zeros(())


def frechet_distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Discrete Fréchet distance of N pairs of curves, [N, T, 2] and [N, U, 2] → [N].

    Example:
        >>> first = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
        >>> frechet_distance(first, first + torch.tensor([0.0, 2.0]))
        tensor([2.])
    """
    distances = torch.cdist(first, second)  # [N, T, U]
    reach = distances[:, 0].cummax(1).values  # along the second curve, the first at its start
    for t in range(1, distances.shape[1]):
        row = [torch.maximum(reach[:, 0], distances[:, t, 0])]
        for u in range(1, distances.shape[2]):
            before = torch.minimum(torch.minimum(reach[:, u], reach[:, u - 1]), row[-1])
            row.append(torch.maximum(before, distances[:, t, u]))
        reach = torch.stack(row, dim=1)
    return reach[:, -1]


def _same_length(tracks: Tracks, reference: Tracks) -> tuple[Tracks, Tracks]:
    """Both cut to the shorter."""
    length = min(tracks.points.shape[1], reference.points.shape[1])
    first, second = (
        Tracks(side.points[:, :length].float(), side.visible[:, :length], side.diagonal)
        for side in (tracks, reference)
    )
    return first, second


def _select(tracks: Tracks, chosen: torch.Tensor) -> Tracks:
    return tracks._replace(points=tracks.points[chosen], visible=tracks.visible[chosen])


def _held(tracks: Tracks) -> torch.Tensor:
    """Points in diagonals, [N, T, 2], where unseen held at the last place seen (or the first)."""
    times = torch.arange(tracks.points.shape[1], device=tracks.points.device)
    last = torch.where(tracks.visible, times, -1).cummax(1).values.clamp(min=0)
    return tracks.points.gather(1, last[..., None].expand_as(tracks.points)) / tracks.diagonal


def _unit_steps(points: torch.Tensor) -> torch.Tensor:
    """Displacements of unit length, [N, T - 1, 2]; 0 where a point holds still."""
    return torch.nn.functional.normalize(points.diff(dim=1), dim=-1)


def _step_features(tracks: Tracks) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [N, T - 1, 3] whose products are the steps' correlation, and which steps are seen.

    The third entry is 1 where a point holds still, and then the first two are 0.
    """
    seen = seen_steps(tracks)
    still = tracks.points.diff(dim=1).norm(dim=-1) < STILL_STEP * tracks.diagonal
    features = torch.cat([_unit_steps(tracks.points) * ~still[..., None], still[..., None]], -1)
    return features * seen[..., None], seen
