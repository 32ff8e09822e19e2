"""The motion flow of half-precision tokens as tensor cores compute it: their products summed in
float32. Here a CPU multiplies the same rounded factors in float32."""

import math
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ditflow.functional import motion_flow
from ditflow.functional.attention_tiles import make_tiling, product
from ditflow.functional.motion_flow import _SoftFlow

GRID = (4, 6, 9)
HALVES = [torch.bfloat16, torch.float16]
WINDOWS = [(None, None), (1, 2)]


def tokens(dtype, spread=4.0):
    """As sharp as a guided block's: displacements of several tokens."""
    generator = torch.Generator().manual_seed(0)
    shape = (8, math.prod(GRID), 16)
    both = [torch.randn(shape, generator=generator) * spread for _ in range(2)]
    return [each.to(dtype).requires_grad_() for each in both]


def in_half(query, key, windows, head_average="logits"):
    query, key, tiling = make_tiling(query, key, GRID, 2.0, head_average, *windows)
    return _SoftFlow.apply(query, key, replace(tiling, dtype=query.dtype))


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("dtype", HALVES)
def test_equals_float64(dtype, windows):
    query, key = tokens(dtype)
    flow = in_half(query, key, windows)
    assert flow.dtype == torch.float32
    exact = [each.detach().double().requires_grad_() for each in (query, key)]
    expected = motion_flow(*exact, GRID, frame_window=windows[0], patch_window=windows[1])
    assert expected.abs().max() > 1.5
    assert (flow - expected).abs().max() < 1e-3

    target = torch.randn(flow.shape, generator=torch.Generator().manual_seed(1))
    # As small as the gradient of a loss over all pairs: below what float16 can tell from 0.
    small = 1e-9
    (small * (flow - target).square().sum()).backward()
    (small * (expected - target).square().sum()).backward()
    for own, other in zip((query, key), exact, strict=True):
        assert own.grad.dtype == dtype
        if dtype == torch.bfloat16:  # float16 has no numbers this small; its loss is scaled
            assert (own.grad.double() - other.grad).norm() < 1e-2 * other.grad.norm()


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_of_a_scaled_loss(dtype):
    query, key = tokens(dtype)
    exact = [each.detach().double().requires_grad_() for each in (query, key)]
    in_half(query, key, (None, None)).square().mean().mul(4096).backward()
    motion_flow(*exact, GRID).square().mean().mul(4096).backward()
    for own, other in zip((query, key), exact, strict=True):
        assert (own.grad.double() - other.grad).norm() < 1e-2 * other.grad.norm()


def test_averaged_queries_are_not_rounded():
    query, key = tokens(torch.bfloat16)
    flow = in_half(query, key, (None, None), "query_key")
    expected = motion_flow(query.double(), key.double(), GRID, head_average="query_key")
    assert (flow - expected).abs().max() < 1e-3


@pytest.mark.parametrize("dtype", HALVES)
def test_a_gpus_products_are_in_half_precision_and_their_sums_in_float32(dtype):
    with FakeTensorMode(allow_non_fake_inputs=True):
        query, key = (torch.empty(8, 216, 16, dtype=dtype, device="cuda") for _ in range(2))
        found, _, tiling = make_tiling(query, key, GRID, 2.0, "logits", None, None)
        assert found.dtype == tiling.dtype == dtype
        left, right = (torch.empty(54, 16, dtype=dtype, device="cuda") for _ in range(2))
        assert product(left, right.t()).dtype == torch.float32
