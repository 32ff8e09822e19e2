"""How far frames of clean predictions are from each other, and a velocity kept on its course."""

import torch
import torch.nn.functional as F


def frame_distances(frames: torch.Tensor) -> torch.Tensor:
    """Absolute differences of every two frames, [F·(F-1)/2, ...] of frames [F, ...]: of each to the
    next, then to the one after it, and so on.

    Example:
        >>> frame_distances(torch.tensor([[0.0], [3.0], [1.0]]))[:, 0]
        tensor([3., 2., 1.])
    """
    # By slices: the gradient of an index adds in the order in which threads come.
    apart = range(1, len(frames))
    return torch.cat([(frames[gap:] - frames[:-gap]).abs() for gap in apart])


def clean_prediction_loss(
    clean: torch.Tensor,
    reference: torch.Tensor,
    prediction_weight: float = 20.0,
    distance_weight: float = 5.0,
) -> torch.Tensor:
    """Mean squared differences of two clean predictions, and of their `frame_distances`, a scalar.

    Args:
        clean: [F, ...], of the video being generated.
        reference: the same, of the reference.
        prediction_weight: of the predictions' difference.
        distance_weight: of that of their frames' distances; with only these, a video may be
            another picture that changes as much where the reference does.

    Example:
        >>> still = torch.zeros(2, 1)
        >>> clean_prediction_loss(still + 1, still), clean_prediction_loss(still + 1, still, 0.0)
        (tensor(20.), tensor(0.))
    """
    changes, changes_there = frame_distances(clean), frame_distances(reference)
    apart = prediction_weight * F.mse_loss(clean, reference)
    return apart + distance_weight * F.mse_loss(changes, changes_there)


def steadied(velocity: torch.Tensor, course: torch.Tensor, damping: float) -> torch.Tensor:
    """A velocity whose part across a course is scaled by `damping`, at each position for itself.

    Args:
        velocity: [..., C, h, w].
        course: the same, a direction at each position; how long it is makes no difference, and
            where it has none all of the velocity is across.
        damping: 1 leaves the velocity as it is, 0 leaves only what is along the course.

    Example:
        >>> velocity, course = (torch.tensor(xy).view(2, 1, 1) for xy in ([3.0, 1.0], [2.0, 0.0]))
        >>> steadied(velocity, course, damping=0.1).flatten()
        tensor([3.0000, 0.1000])
    """
    direction = F.normalize(course, dim=-3)
    along = (velocity * direction).sum(-3, keepdim=True) * direction
    return along + damping * (velocity - along)
