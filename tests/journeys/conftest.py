"""A fit that several journeys begin with."""

from pathlib import Path

import pytest

from ditflow.cli import main

QUICK = ["--steps", "6", "--model.guided_share", "0.4", "--model.optimization_steps", "1"]
PROMPT = "a blue square on a white background"


@pytest.fixture(scope="session")
def fitted(tmp_path_factory, reference_video) -> Path:
    folder = tmp_path_factory.mktemp("fit") / "run"
    status = main(
        [
            *("fit", "--video", str(reference_video), "--prompt", PROMPT, "--output", str(folder)),
            *("--target", "positions", *QUICK),
        ]
    )
    assert status == 0
    return folder
