"""Motion flow against a loop over pairs of frames, heads and patches."""

import math

import pytest
import torch

from ditflow.functional import flow_loss, motion_flow, moving_patches
from ditflow.plan.live_memory import LiveMemory

GRID = (3, 2, 4)


def naive_flow(query, key, grid, temperature, hard, head_average, frame_window=99, patch_window=99):
    frames, height, width = grid
    heads, _, dim = query.shape
    patches = height * width
    flow = torch.zeros(frames, frames, patches, 2, dtype=query.dtype)
    for i in range(frames):
        for j in range(frames):
            if abs(i - j) > frame_window:
                continue
            for s in range(patches):
                logits = []
                for t in range(patches):
                    rows, columns = abs(s // width - t // width), abs(s % width - t % width)
                    if max(rows, columns) > patch_window:
                        logits.append(torch.tensor(-math.inf, dtype=query.dtype))
                        continue
                    a, b = i * patches + s, j * patches + t
                    if head_average == "logits":
                        products = [query[m, a] @ key[m, b] for m in range(heads)]
                        product = sum(products) / heads
                    else:
                        product = query[:, a].mean(0) @ key[:, b].mean(0)
                    logits.append(temperature * product / math.sqrt(dim))
                weights = torch.stack(logits).softmax(0)
                columns = torch.tensor([t % width for t in range(patches)], dtype=query.dtype)
                rows = torch.tensor([t // width for t in range(patches)], dtype=query.dtype)
                if hard:
                    best = int(weights.argmax())
                    column, row = columns[best], rows[best]
                else:
                    column, row = weights @ columns, weights @ rows
                flow[i, j, s] = torch.stack([column - s % width, row - s // width])
    return flow


def random_tokens(dtype=torch.float32, seed=0, heads=3, grid=GRID, dim=8):
    generator = torch.Generator().manual_seed(seed)
    shape = (heads, math.prod(grid), dim)
    query, key = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    return query, key


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("head_average", ["logits", "query_key"])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_equals_the_naive_loop(hard, head_average, temperature):
    query, key = random_tokens()
    flow = motion_flow(
        query, key, GRID, temperature=temperature, hard=hard, head_average=head_average
    )
    expected = naive_flow(query, key, GRID, temperature, hard, head_average)
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dim", [2, 64])  # heads side by side: three at a time, and one
def test_windows_equal_the_naive_loop(hard, dim):
    grid = (3, 4, 3)
    query, key = random_tokens(heads=5, grid=grid, dim=dim)
    for windows in ((1, None), (None, 1), (1, 2), (2, 3)):
        flow = motion_flow(
            query, key, grid, hard=hard, frame_window=windows[0], patch_window=windows[1]
        )
        limits = [99 if window is None else window for window in windows]
        expected = naive_flow(query, key, grid, 2.0, hard, "logits", *limits)
        torch.testing.assert_close(flow, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"head_average": "query_key"},
        {"frame_window": 1},
        {"patch_window": 1},
        {"frame_window": 1, "patch_window": 2},
    ],
)
def test_gradients(options):
    query, key = random_tokens(torch.float64)
    query.requires_grad_()
    key.requires_grad_()
    assert torch.autograd.gradcheck(lambda q, k: motion_flow(q, k, GRID, **options), (query, key))


@pytest.mark.parametrize("windows", [{}, {"frame_window": 1, "patch_window": 2}])
def test_memory_does_not_grow_with_the_heads(windows):
    """Beyond the inputs and their gradients."""
    grid, dim, beyond = (4, 6, 8), 16, []
    block = 6 * 8 * math.prod(grid) * 4
    for heads in (4, 32):
        query, key = random_tokens(heads=heads, grid=grid, dim=dim)
        query.requires_grad_()
        key.requires_grad_()
        with LiveMemory() as live:
            motion_flow(query, key, grid, **windows).square().mean().backward()
        beyond.append((live.peak - query.grad.nbytes - key.grad.nbytes) / block)
    assert beyond[1] < 4
    assert beyond[1] < beyond[0] + 0.1


def test_known_shift_has_known_displacement():
    """Content that moves one column to the right between two frames."""
    grid = (2, 3, 5)
    codes = torch.eye(15).reshape(3, 5, 15)
    moved = codes.roll(1, dims=1)
    tokens = torch.cat([codes.flatten(0, 1), moved.flatten(0, 1)])[None] * 20
    flow = motion_flow(tokens, tokens, grid, hard=True).reshape(2, 2, 3, 5, 2)
    assert (flow[0, 1, :, :4] == torch.tensor([1.0, 0.0])).all()
    assert (flow[1, 0, :, 1:] == torch.tensor([-1.0, 0.0])).all()
    assert (flow[0, 0] == 0).all()


def test_soft_tends_to_hard_as_the_temperature_grows():
    query, key = random_tokens()
    hard = motion_flow(query, key, GRID, hard=True)
    errors = [
        (motion_flow(query, key, GRID, temperature=t) - hard).abs().mean() for t in (1, 100, 1e4)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-2


def test_half_precision_is_computed_in_float32():
    query, key = random_tokens()
    flow = motion_flow(query.bfloat16(), key.bfloat16(), GRID)
    expected = motion_flow(query.bfloat16().float(), key.bfloat16().float(), GRID)
    assert flow.dtype == torch.float32
    torch.testing.assert_close(flow, expected)


@pytest.mark.parametrize(
    ("query", "key", "options"),
    [
        (torch.zeros(1, 24, 8), torch.zeros(1, 23, 8), {}),
        (torch.zeros(1, 23, 8), torch.zeros(1, 23, 8), {}),
        (torch.zeros(24, 8), torch.zeros(24, 8), {}),
        (torch.zeros(1, 24, 8), torch.zeros(1, 24, 8), {"head_average": "median"}),
        (torch.zeros(1, 24, 8), torch.zeros(1, 24, 8), {"frame_window": 0}),
        (torch.zeros(1, 24, 8), torch.zeros(1, 24, 8), {"patch_window": 0}),
    ],
)
def test_refuses_what_does_not_fit(query, key, options):
    with pytest.raises(ValueError, match=r"query|head_average|window"):
        motion_flow(query, key, GRID, **options)


def test_loss_counts_moving_patches_only():
    reference = torch.zeros(2, 2, 3, 2)
    reference[0, 1, 0] = torch.tensor([2.0, 0.0])
    flow = torch.ones_like(reference)
    assert flow_loss(flow, reference) == pytest.approx((1 + 1) / 2)
    everywhere = flow_loss(flow, reference, moving_only=False)
    assert everywhere == pytest.approx(1.0)
    assert moving_patches(reference).sum() == 1
    assert flow_loss(reference, reference) == 0


def test_static_reference_gives_a_finite_loss_and_gradient():
    flow = torch.full((2, 2, 3, 2), 0.5, requires_grad=True)
    loss = flow_loss(flow, torch.zeros(2, 2, 3, 2))
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert flow.grad.isfinite().all()
    assert (flow.grad > 0).all()


def test_loss_refuses_other_shapes():
    with pytest.raises(ValueError, match="reference"):
        flow_loss(torch.zeros(2, 2, 3, 2), torch.zeros(3, 3, 3, 2))


def random_flows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    flow = torch.randn(3, 3, 8, 2, generator=generator)
    return flow, torch.randint(-1, 2, (3, 3, 8, 2), generator=generator).float()


@pytest.mark.parametrize("moving_only", [False, True])
def test_equal_weights_change_nothing(moving_only):
    flow, reference = random_flows()
    plain = flow_loss(flow, reference, moving_only=moving_only)
    for weight in (torch.ones(3, 3, 8), torch.ones(3, 1, 8), torch.full((3, 3, 8), 0.25)):
        weighted = flow_loss(flow, reference, moving_only=moving_only, weight=weight)
        torch.testing.assert_close(weighted, plain)


@pytest.mark.parametrize("moving_only", [False, True])
def test_a_mask_is_as_if_there_were_no_other_patches(moving_only):
    flow, reference = random_flows()
    flow.requires_grad_()
    mask = torch.tensor([1.0, 0, 0, 1, 0, 0, 0, 0]).expand(3, 1, 8)
    loss = flow_loss(flow, reference, moving_only=moving_only, weight=mask)
    inside = flow[:, :, [0, 3]], reference[:, :, [0, 3]]
    torch.testing.assert_close(loss, flow_loss(*inside, moving_only=moving_only))
    loss.backward()
    assert (flow.grad[:, :, mask[0, 0] == 0] == 0).all()
    assert (flow.grad[:, :, [0, 3]] != 0).any()
    with pytest.raises(ValueError, match="weights"):
        flow_loss(flow, reference, weight=mask * 0)


def test_what_holds_still_in_a_mask_is_held_still():
    """Though something moves elsewhere."""
    reference = torch.zeros(2, 2, 3, 2)
    reference[0, 1, 0] = 2
    flow = torch.ones(2, 2, 3, 2)
    mask = torch.tensor([0.0, 1, 0]).expand(2, 1, 3)
    assert flow_loss(flow, reference, weight=mask) == pytest.approx(1.0)


def test_surer_displacements_count_more():
    reference = torch.tensor([1.0, 2.0]).reshape(1, 1, 2, 1).expand(-1, -1, -1, 2)
    loss = flow_loss(reference * 0, reference, weight=torch.tensor([[[3.0, 1.0]]]))
    assert loss == pytest.approx((3 * 1 + 1 * 4) / 4)
