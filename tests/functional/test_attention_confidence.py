"""Attention confidence against the entropy of attention computed patch by patch."""

import math

import pytest
import torch

from ditflow.functional import attention_confidence
from ditflow.plan.live_memory import LiveMemory
from tests.functional.test_motion_flow import GRID, random_tokens


def naive_confidence(query, key, grid, temperature, frame_window=99, patch_window=99):
    frames, height, width = grid
    heads, _, dim = query.shape
    patches = height * width
    confidence = torch.zeros(frames, frames, patches)
    for i in range(frames):
        for j in range(frames):
            for s in range(patches):
                if abs(i - j) > frame_window:
                    continue
                reached = [
                    t
                    for t in range(patches)
                    if abs(s // width - t // width) <= patch_window
                    and abs(s % width - t % width) <= patch_window
                ]
                products = [
                    sum(query[m, i * patches + s] @ key[m, j * patches + t] for m in range(heads))
                    for t in reached
                ]
                logits = torch.stack(products) * temperature / heads / math.sqrt(dim)
                entropy = torch.distributions.Categorical(logits=logits).entropy()
                confidence[i, j, s] = 1 - entropy / math.log(len(reached))
    return confidence


@pytest.mark.parametrize("windows", [(None, None), (1, None), (None, 1), (1, 2)])
def test_equals_the_naive_loop(windows):
    query, key = random_tokens()
    found = attention_confidence(
        query, key, GRID, temperature=3.0, frame_window=windows[0], patch_window=windows[1]
    )
    limits = [99 if window is None else window for window in windows]
    torch.testing.assert_close(found, naive_confidence(query, key, GRID, 3.0, *limits))


def test_from_none_to_certain():
    tokens = torch.eye(4).repeat(1, 2, 1)  # two frames of 2 x 2 patches, each like itself alone
    certain = attention_confidence(tokens * 100, tokens * 100, (2, 2, 2))
    torch.testing.assert_close(certain, torch.ones(2, 2, 4))
    assert (attention_confidence(tokens * 0, tokens, (2, 2, 2)).abs() < 1e-6).all()
    halves = attention_confidence(
        tokens * 0, tokens, (8, 1, 1)
    )  # one patch: nothing to be unsure of
    assert (halves == 1).all()
    assert not attention_confidence(tokens.requires_grad_(), tokens, (2, 2, 2)).requires_grad


def test_averaged_queries_and_keys():
    query, key = random_tokens()
    found = attention_confidence(query, key, GRID, head_average="query_key")
    one = attention_confidence(query.mean(0)[None], key.mean(0)[None], GRID)
    torch.testing.assert_close(found, one)


def test_memory_does_not_grow_with_the_heads():
    grid, peaks = (4, 6, 8), []
    for heads in (4, 32):
        query, key = random_tokens(heads=heads, grid=grid, dim=16)
        with LiveMemory() as live:
            attention_confidence(query, key, grid)
        peaks.append(live.peak)
    assert peaks[1] < 6 * 6 * 8 * math.prod(grid) * 4
    assert peaks[1] < 1.1 * peaks[0]
