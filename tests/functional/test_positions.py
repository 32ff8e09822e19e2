"""Positions from coordinates against diffusers' own tables."""

import pytest
import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed, get_3d_sincos_pos_embed

from ditflow.functional import rotary_table, sinusoidal_table

F, H, W = 3, 4, 6


def grid_coordinates():
    mesh = torch.meshgrid(torch.arange(F), torch.arange(H), torch.arange(W), indexing="ij")
    return torch.stack(mesh, dim=-1).flatten(0, 2).float()


@pytest.mark.parametrize("head_dim", [16, 32, 64])
def test_rotary_equals_the_stock_table(head_dim):
    stock = get_3d_rotary_pos_embed(head_dim, ((0, 0), (H, W)), (H, W), F)
    ours = rotary_table(grid_coordinates(), head_dim)
    for ours_part, stock_part in zip(ours, stock, strict=True):
        torch.testing.assert_close(ours_part, stock_part, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 1.875])
def test_sinusoidal_equals_the_stock_table(scale):
    stock = get_3d_sincos_pos_embed(48, (W, H), F, scale, 1.0, output_type="pt").flatten(0, 1)
    ours = sinusoidal_table(grid_coordinates(), 48, spatial_scale=scale)
    torch.testing.assert_close(ours, stock.float(), atol=1e-6, rtol=0)


def test_gradients():
    coordinates = grid_coordinates()[:4].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: rotary_table(c, 16), (coordinates,))
    assert torch.autograd.gradcheck(lambda c: sinusoidal_table(c, 16), (coordinates,))


@pytest.mark.parametrize("table", [rotary_table, sinusoidal_table])
def test_refuses_a_width_that_cannot_be_shared_out(table):
    with pytest.raises(ValueError, match="16"):
        table(grid_coordinates(), 20)
