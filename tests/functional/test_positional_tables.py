"""Positions from coordinates against diffusers' own tables."""

import pytest
import torch
from diffusers.models.embeddings import (
    apply_rotary_emb,
    get_3d_rotary_pos_embed,
    get_3d_sincos_pos_embed,
)

from ditflow.functional import rotary_table, sinusoidal_table
from ditflow.functional.parameterization import initial_parameter, positions_of

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


def test_copies_for_queries_and_keys_move_apart():
    """Of rotary positions only: a sinusoidal table is added before queries and keys are made."""
    coordinates = grid_coordinates()
    stock = rotary_table(coordinates, 16)
    parameter = initial_parameter(stock, coordinates, "coordinates", separate_query_key=True)
    parameter[1, :, 2] += 1  # every key is found a column further right
    query, key = torch.randn(2, 1, 1, len(coordinates), 16)
    tables = positions_of(parameter, "coordinates", lambda where: rotary_table(where, 16))
    rotated = [apply_rotary_emb(query, tables[:2]), apply_rotary_emb(key, tables[2:])]
    moved = rotary_table(coordinates + torch.tensor([0.0, 0.0, 1.0]), 16)
    assert (rotated[0] - apply_rotary_emb(query, stock)).abs().max() == 0
    assert (rotated[1] - apply_rotary_emb(key, moved)).abs().max() == 0
    table = (sinusoidal_table(coordinates, 16),)
    assert initial_parameter(table, coordinates, "coordinates", True).shape == coordinates.shape


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
