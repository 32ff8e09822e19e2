"""Kernels that are asked for compute what torch's own do."""

import pytest
import torch

from ditflow.backbones.kernels import take_quick_convolutions


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"padding": (0, 1, 1), "stride": (1, 2, 2), "bias": False},
        {"padding": "same"},
        {"groups": 2, "dilation": 2},
        {"padding": 1, "padding_mode": "replicate"},
    ],
)
def test_quick_convolutions(how, dtype):
    torch.manual_seed(0)
    plain = torch.nn.Conv3d(4, 6, 3, **how).to(dtype)
    quick = torch.nn.Conv3d(4, 6, 3, **how).to(dtype)
    quick.load_state_dict(plain.state_dict())
    take_quick_convolutions(torch.nn.Sequential(quick))
    inputs = torch.randn(1, 4, 7, 9, 8, dtype=dtype).transpose(3, 4)  # of strides of its own
    tolerance = 1e-5 if dtype == torch.float32 else 0
    torch.testing.assert_close(quick(inputs), plain(inputs), rtol=0, atol=tolerance)
