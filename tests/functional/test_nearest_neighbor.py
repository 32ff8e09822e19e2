"""Nearest neighbours of latents against a loop, and of patches that have moved."""

import pytest
import torch

from ditflow.functional import nearest_neighbor_flow


def test_equals_the_naive_loop():
    """With a temporal and a spatial patch, as CogVideoX 1.5 has them."""
    latents = torch.randn(1, 4, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    grid = (2, 2, 3)
    flow = nearest_neighbor_flow(latents, grid)

    def patch(frame: int, index: int) -> torch.Tensor:
        row, column = index // 3 * 2, index % 3 * 2
        return latents[
            0, 2 * frame : 2 * frame + 2, :, row : row + 2, column : column + 2
        ].flatten()

    for i in range(2):
        for j in range(2):
            for s in range(6):
                like = [torch.cosine_similarity(patch(i, s), patch(j, t), dim=0) for t in range(6)]
                best = int(torch.stack(like).argmax())
                assert flow[i, j, s].tolist() == [best % 3 - s % 3, best // 3 - s // 3]


def test_patches_that_move_are_found():
    first = torch.randn(1, 1, 8, 6, 8, generator=torch.Generator().manual_seed(1))
    latents = torch.cat([first, first.roll((2, -4), dims=(3, 4))], dim=1)
    flow = nearest_neighbor_flow(latents, (2, 3, 4)).reshape(2, 2, 3, 4, 2)
    assert (flow[0, 0] == 0).all()
    assert (flow[0, 1, :2, 2:] == torch.tensor([-2.0, 1.0])).all()
    assert (flow[1, 0, 1:, :2] == torch.tensor([2.0, -1.0])).all()


def test_refuses_a_grid_that_does_not_divide():
    with pytest.raises(ValueError, match="grid"):
        nearest_neighbor_flow(torch.zeros(1, 2, 4, 6, 6), (2, 4, 3))
