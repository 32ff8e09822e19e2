"""Motion read from a block's output features: spatial marginal means, and motion channels."""

import torch
import torch.nn.functional as F


def spatial_marginal_mean(features: torch.Tensor) -> torch.Tensor:
    """Differences between the frames' spatial means, [F, F, C] of features [F, S, C].

    Example:
        >>> spatial_marginal_mean(torch.tensor([[[0.0], [2.0]], [[4.0], [4.0]]]))[..., 0]
        tensor([[ 0.,  3.],
                [-3.,  0.]])
    """
    means = features.mean(1)
    return means[None] - means[:, None]


def marginal_mean_loss(differences: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """1 − cosine over channels, averaged over pairs of different frames, a scalar in [0, 2].

    Pairs between which the reference does not change have no direction and do not count; a
    reference in which nothing changes gives 0.

    Args:
        differences: [F, F, C], of the video being generated, as `spatial_marginal_mean` gives.
        reference: the same, of the reference.

    Example:
        >>> reference = spatial_marginal_mean(torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]]))
        >>> opposite, across = -reference, reference.flip(-1)
        >>> [round(marginal_mean_loss(d, reference).item()) for d in (reference, across, opposite)]
        [0, 1, 2]
    """
    # Both triangles hold the same pairs with both signs turned: the cosine is the same.
    frames = len(differences)
    rows, columns = torch.triu_indices(frames, frames, offset=1, device=differences.device)
    return _cosine_loss(differences[rows, columns], reference[rows, columns])


def motion_channels(features: torch.Tensor, share: float = 0.04) -> torch.Tensor:
    """Which channels of features [F, S, C] carry most of the motion, [C] of bool.

    With each position's temporal mean taken out, those with the largest absolute weight in the
    first right singular vector of the [F·S, C] matrix.

    Args:
        features: of the reference.
        share: of the channels, at least one.

    Example:
        >>> features = torch.zeros(3, 1, 4)
        >>> features[:, 0, 2] = torch.tensor([0.0, 1.0, 2.0])  # only this channel changes over time
        >>> motion_channels(features, share=0.25)
        tensor([False, False,  True, False])
    """
    moving = (features - features.mean(0)).flatten(0, 1)
    moving = moving.float() if moving.device.type == "mps" else moving.double()  # it has no float64
    # The right singular vectors are the eigenvectors of a [C, C] matrix, whatever F·S is.
    _, vectors = torch.linalg.eigh(moving.T @ moving)
    weights = vectors[:, -1].abs()
    kept = weights.topk(max(1, round(share * len(weights)))).indices
    return torch.zeros_like(weights, dtype=torch.bool).index_fill(0, kept, True)


def motion_feature(features: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
    """Features [F, S, C] without their temporal mean, other than motion channels set to 0.

    Example:
        >>> features = torch.tensor([[[1.0, 5.0]], [[3.0, 5.0]]])
        >>> motion_feature(features, torch.tensor([True, False]))[:, 0]
        tensor([[-1.,  0.],
                [ 1.,  0.]])
    """
    return (features - features.mean(0)) * channels


def motion_feature_loss(feature: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """1 − cosine over motion channels, averaged over frames and positions, a scalar in [0, 2].

    Positions at which the reference's feature is 0 do not count.

    Args:
        feature: [F, S, C], of the video being generated, as `motion_feature` gives.
        reference: the same, of the reference.

    Example:
        >>> reference = torch.tensor([[[-1.0, 0.0]], [[1.0, 0.0]]])
        >>> motion_feature_loss(-reference, reference)
        tensor(2.)
    """
    return _cosine_loss(feature, reference)


def _cosine_loss(values: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean of 1 − cosine over the last dimension, where the reference has a direction."""
    counted = reference.square().sum(-1) > 0
    away = 1 - F.cosine_similarity(values, reference, dim=-1)
    return (away * counted).sum() / counted.sum().clamp(min=1)
