"""The published models at full size on a pretended GPU: nothing stays on the CPU, every dtype fits,
and what is held is what was planned."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.backbones.pretended import (
    Case,
    LeftOnCPU,
    Pretended,
    TooWide,
    Way,
    error_of,
    follow,
    planned,
    register,
)

WAYS: list[Way] = [("latents", "values"), ("positions", "values"), ("positions", "coordinates")]
MODELS = {
    "THUDM/CogVideoX-2b": "float16",
    "THUDM/CogVideoX-5b": "bfloat16",
    "THUDM/CogVideoX1.5-5B": "bfloat16",
}
FEW = Case("THUDM/CogVideoX-5b", "bfloat16", 21)


@pytest.fixture(scope="module")
def there() -> Iterator[Callable]:
    """Calls a function in a process that has such a device."""
    with ProcessPoolExecutor(1, get_context("spawn"), register) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


def check(there: Callable, case: Case, ways: list[Way]) -> None:
    """Follow a case in some ways, and compare the last with its plan."""
    held, plan = there(follow, case, ways)[ways[-1]], there(planned, case, ways[-1])
    for phase, size in held.items():
        # A plan's denoising is with the stock ρ, which of 2B is a table of float64.
        assert 0.9 * plan[phase] < size < 1.05 * plan[phase], phase


def test_5b(there):
    check(there, FEW, [("positions", "coordinates")])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["2.1-T2V-1.3B", "2.1-T2V-14B", "2.2-TI2V-5B", "2.2-T2V-A14B"])
def test_wan(there, model):
    """With checkpointing, at their default frames and size."""
    frames = 121 if "5B" in model else 81
    case = Case(f"Wan-AI/Wan{model}-Diffusers", "bfloat16", frames, checkpointing=True)
    check(there, case, [("positions", "coordinates")])


@pytest.mark.parametrize(
    ("mistake", "message"),
    [(LeftOnCPU, "cpu and pretended:0"), (TooWide, "float.*BFloat16")],
)
def test_a_mistake_is_found(there, mistake: type[Pretended], message):
    assert re.search(message, there(error_of, FEW, mistake))


@pytest.mark.slow
@pytest.mark.parametrize("num_frames", [21, 49])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_target_and_length(there, name, num_frames):
    """Each time another target is compared with its plan; long videos with checkpointing."""
    turn = (list(MODELS).index(name) + num_frames // 49) % 3
    case = Case(name, MODELS[name], num_frames, checkpointing=num_frames == 49)
    check(there, case, [*WAYS[turn:], *WAYS[:turn]])
