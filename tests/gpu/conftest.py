"""Where these tests run: on the first GPU, or on what `DITFLOW_TEST_DEVICE` names, such as `cpu`,
which tries the tests themselves."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> Iterator[torch.device]:
    """The device, with convolutions in float32 as exact as a CPU's; products are by default."""
    found = torch.device(os.environ.get("DITFLOW_TEST_DEVICE", "cuda"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU; DITFLOW_TEST_DEVICE=cpu tries the test itself")
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield found
