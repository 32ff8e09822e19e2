"""Positions fitted to several prompts by several processes: as by one, and refused where not."""

import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ditflow import DitflowError, MotionEmbedding
from ditflow.callbacks.denoising_schedule import check_shared
from ditflow.cli import main
from ditflow.data import MotionDataModule
from ditflow.reference import ReferenceVideo
from ditflow.video.reading import read_video

PROMPTS = ["a blue square on a white background", "a red ring on a black background"]


def fit_arguments(video: Path, folder: Path, prompts: list[str] = PROMPTS) -> list[str]:
    return [
        *("fit", "--video", str(video), "--prompts", *prompts, "--output", str(folder)),
        *("--num-frames", "9", "--target", "positions", "--steps", "6"),
        *("--model.guided_share", "0.5", "--model.optimization_steps", "2"),
    ]


def fit(video: Path, folder: Path, *options: str, prompts: list[str] = PROMPTS) -> tuple[int, str]:
    """In a process of its own, which starts the others."""
    command = [sys.executable, "-m", "ditflow.cli", *fit_arguments(video, folder, prompts)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def two(reference_video, tmp_path_factory) -> tuple[Path, Path]:
    """The same fit by one process and by two."""
    folder = tmp_path_factory.mktemp("shared")
    assert main(fit_arguments(reference_video, folder / "one")) == 0
    status, said = fit(reference_video, folder / "two", "--trainer.devices", "2")
    assert status == 0, said
    return folder / "one", folder / "two"


def test_two_processes_fit_what_one_does(two):
    one, other = (MotionEmbedding.load(folder / "motion.safetensors") for folder in two)
    assert one.header == other.header
    moved = one.tensors["positions"].abs().max()
    difference = (one.tensors["positions"] - other.tensors["positions"]).abs().max()
    assert difference < 1e-3 * moved
    names = {path.name for path in two[0].glob("*.mp4")}
    assert names == {path.name for path in two[1].glob("*.mp4")}
    assert len(names) == 4
    assert (two[1] / "commands.txt").exists()  # the second process has removed nothing
    for name in names:
        a, b = (read_video(folder / name).astype(int) for folder in two)
        assert a.shape == b.shape
        assert abs(a - b).mean() < 1


@pytest.mark.slow
def test_the_checkpoint_holds_every_process_latents(two, reference_video, tmp_path):
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["samplers"]
        for folder in two
    )
    assert len(one) == len(other) == 2
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a["latents"], b["latents"], rtol=0, atol=1e-3)
    # So one process can go on from the checkpoint of two.
    status, said = fit(reference_video, tmp_path / "on", "--resume", str(two[1]))
    assert status == 0, said
    saved = (two[1] / "motion.safetensors").read_bytes()
    assert (tmp_path / "on" / "motion.safetensors").read_bytes() == saved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "latents"}, "nothing to share with target=latents"),
        ({"optimization_steps": 0}, "nothing to share with optimization_steps=0"),
        ({"prompts": [*PROMPTS, "a pink cross"]}, "3 prompts cannot be shared evenly by 2"),
    ],
)
def test_what_cannot_be_shared_is_refused(given, message):
    """Before anything is asked of the other processes."""
    prompts = SimpleNamespace(prompts=given.pop("prompts", PROMPTS))
    trainer = SimpleNamespace(world_size=2, global_rank=0, datamodule=prompts)
    module = SimpleNamespace(**{"target": "positions", "optimization_steps": 5} | given)
    with pytest.raises(DitflowError, match=message):
        check_shared(trainer, module)


def _check_of_process(rank: int, store: Path, answers: multiprocessing.Queue) -> None:
    """Ask as one of two processes, of which each has a reference, or a mask, of its own."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    same, own = torch.zeros(5, 3, 8, 8), torch.full((5, 8, 8), float(rank))
    for read in (
        ReferenceVideo(same, None),
        ReferenceVideo(same, own),
        ReferenceVideo(same + rank, None),
    ):
        data = MotionDataModule(video=Path("ref.mp4"), prompts=PROMPTS)
        data.read = read
        trainer = SimpleNamespace(world_size=2, global_rank=rank, datamodule=data)
        try:
            check_shared(trainer, SimpleNamespace(target="positions", optimization_steps=5))
            answers.put(None)
        except DitflowError as error:
            answers.put(str(error))


def test_different_references_are_refused_by_every_process(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = [context.Queue(), context.Queue()]
    processes = [
        context.Process(target=_check_of_process, args=(rank, tmp_path / "store", answers[rank]))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    said = [[queue.get(timeout=60) for _ in range(3)] for queue in answers]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for first, mask, reference in said:
        assert first is None
        assert "is not the same for all processes" in mask
        assert "is not the same for all processes" in reference


@pytest.mark.slow
def test_uneven_shares_are_refused_on_the_command_line(reference_video, tmp_path):
    out, prompts = tmp_path / "out", [*PROMPTS, "a pink cross"]
    status, said = fit(reference_video, out, "--trainer.devices", "2", prompts=prompts)
    assert status == 2
    assert "3 prompts cannot be shared evenly by 2 processes" in said
    assert "Traceback" not in said
    assert not list(out.glob("*.mp4"))
