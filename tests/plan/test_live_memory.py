"""What live tensors hold, real ones and fake ones."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ditflow.plan.live_memory import LiveMemory

KIB = 1024


def work(numbers: torch.Tensor) -> torch.Tensor:
    """Holds 4 KiB, then 8, then 12, then 4 again."""
    first = numbers + 1
    second = first * 2
    third = (first + second).view(32, 32)[:4]
    del first, second
    return third


@pytest.mark.parametrize("fake", [False, True])
def test_counts_what_is_held_and_nothing_that_was_there_before(fake):
    if fake:
        with FakeTensorMode():
            numbers = torch.zeros(KIB)
            with LiveMemory() as live:
                kept = work(numbers)
    else:
        numbers = torch.zeros(KIB)
        with LiveMemory() as live:
            kept = work(numbers)
    assert live.peak == 12 * KIB
    assert live.now == 4 * KIB
    assert kept.shape == (4, 32)


def test_a_view_of_what_was_there_costs_nothing():
    weight = torch.zeros(KIB)
    with LiveMemory() as live:
        view = weight.view(32, 32).t()
    assert (live.peak, view.shape) == (0, (32, 32))


def test_follows_the_backward_pass():
    numbers = torch.rand(KIB, requires_grad=True)
    with LiveMemory() as live:
        loss = numbers.sin().exp().sum()
        held = live.now
        loss.backward()
        del loss
    assert held == 4 * KIB + 4  # what exp saved, which is its result, and the sum
    assert live.now == 4 * KIB  # the gradient
