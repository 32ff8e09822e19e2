"""What is `auto` is chosen by the plan for the memory that is free."""

import logging
from typing import Any

import pytest
import torch
import yaml

import ditflow
from ditflow import MotionEmbedding, load_backbone
from ditflow.assembly import loading
from ditflow.assembly.loading import CAREFUL, choose, load
from ditflow.backbones.loading import empty_backbone
from ditflow.backbones.shapes import weights_of
from ditflow.cli import main
from ditflow.objectives import AttentionMotionFlow
from ditflow.plan import machine
from ditflow.plan.fitting import ROOM, Planner
from ditflow.plan.machine import Machine, gpu_of, this_machine
from ditflow.plan.phases import Work
from ditflow.settings.stacked import read_settings

AUTO = {"offload": "auto", "gradient_checkpointing": "auto", "vae_tiling": "auto"}
NOTHING = {"offload": "none", "gradient_checkpointing": False, "vae_tiling": False}


@pytest.fixture(scope="module")
def planner() -> Planner:
    work = Work(torch.float32, 25, 64, 64, block=6, objective=AttentionMotionFlow())
    return Planner(empty_backbone("sprites-rope").shapes(), work, cache=True)


def least(planner: Planner, **options) -> int:
    """The smallest memory for which these options are enough."""
    return int(planner.plan(NOTHING | options).peak / ROOM) + 1


def test_where_there_is_room_nothing_is_saved(planner):
    memory = least(planner)
    assert planner.choose(AUTO, memory, gpu=True).options == NOTHING
    assert planner.choose(AUTO, 1, gpu=False).options == NOTHING
    # By 16 KiB too little: what costs least time.
    chosen = planner.choose(AUTO, memory - 2**14, gpu=True)
    assert chosen.options == NOTHING | {"offload": "model"}
    assert chosen.chosen == list(AUTO)


def test_what_is_fixed_stays(planner):
    memory = least(planner) - 2**14
    fixed = planner.choose(AUTO | {"offload": "none"}, memory, gpu=True)
    assert fixed.options == NOTHING | {"vae_tiling": True}
    assert "offload" not in fixed.chosen


def test_where_nothing_fits_all_is_saved_that_can_be(planner):
    every = {"offload": "group", "gradient_checkpointing": True, "vae_tiling": True}
    assert planner.choose(AUTO, 1, gpu=True).options == every
    quantised = {"quantization": "bitsandbytes-8bit"}
    chosen = planner.choose(AUTO | quantised, 1, gpu=True)
    assert chosen.options == every | quantised | {"offload": "model"}


@pytest.fixture
def gpu(monkeypatch):
    """A GPU with a memory that is told, on which the embedded model is loaded as on the CPU."""

    def of(free: int) -> None:
        there = Machine("a GPU", free, True)
        monkeypatch.setattr(loading, "gpu_of", lambda device: torch.device("cuda", 0))
        monkeypatch.setattr(loading, "this_machine", lambda device: there)

    return of


def test_a_run_loads_what_was_chosen_and_records_that_it_was(
    gpu, planner, reference_video, tmp_path, caplog
):
    """And its records are loaded again on a machine where nothing needs to be saved."""
    caplog.set_level(logging.INFO)
    auto = AUTO | {"offload": "none"}  # which a CPU cannot
    config = {"model": {"backbone": {"init_args": auto}, "block": 3, "optimization_steps": 1}}
    gpu(1)
    backbone = load(read_settings("sprites-rope", config))
    assert backbone.transformer.is_gradient_checkpointing
    assert backbone.options == load_backbone("sprites-rope").options | CAREFUL | {"offload": "none"}
    assert "free of a GPU: gradient_checkpointing=true, vae_tiling=true; each can be" in caplog.text
    backbone.pipeline.vae.disable_tiling()  # which these small models cannot take
    made = ditflow.fit(
        reference_video, "a red ring", backbone=backbone, steps=2, num_frames=9, progress=False,
        config=["sprites-rope", config], output=tmp_path,
    )  # fmt: skip
    recorded = header_backbone(made.embedding)["init_args"]
    assert recorded.items() >= auto.items()
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["model"]["backbone"]["init_args"] == recorded
    gpu(2**40)
    again = load(read_settings({"model": {"backbone": header_backbone(made.embedding)}}))
    assert again.options == load_backbone("sprites-rope").options


def header_backbone(embedding: MotionEmbedding) -> dict[str, Any]:
    return embedding.header.model["backbone"]


def test_the_commands_choose_and_record(gpu, reference_video, tmp_path, monkeypatch):
    """A predict for the size of its embedding's videos."""
    sizes, prepare = [], loading.prepare

    def noted(settings, size, *args, **options):
        sizes.append(size)
        return prepare(settings, size, *args, **options)

    monkeypatch.setattr(loading, "prepare", noted)
    gpu(1)
    few = ["--num-frames", "9", "--steps", "2", "--block", "3", "--prompt", "a red ring"]
    auto = ["--model.backbone.gradient_checkpointing", "auto"]
    fit, reused = tmp_path / "fit", tmp_path / "reused"
    assert main(["fit", *few, *auto, "--video", str(reference_video), "--output", str(fit)]) == 0
    prompt = ["--prompt", "a blue ring", "--output", str(reused)]
    assert main(["predict", "--embedding", str(fit), *prompt]) == 0
    assert sizes == [(None, None, None), (9, 64, 64)]
    embedding = MotionEmbedding.load(fit / "motion.safetensors")
    recorded = [header_backbone(embedding)]
    recorded += [
        yaml.safe_load((folder / "config.yaml").read_text())["model"]["backbone"]
        for folder in (fit, reused)
    ]
    assert [each["init_args"]["gradient_checkpointing"] for each in recorded] == ["auto"] * 3


def test_a_run_that_cannot_be_planned_is_careful(gpu, caplog):
    gpu(2**40)
    objective = {"class_path": "tests.plan.test_running.Reads"}
    config = {"model": {"backbone": {"init_args": AUTO}, "objective": objective}}
    assert choose(read_settings("sprites-rope", config)) == CAREFUL
    assert "cannot be planned" in caplog.text


def test_memory_is_what_is_free_and_what_torch_keeps(monkeypatch):
    told = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "mem_get_info": lambda device: (5, 100),
        "memory_reserved": lambda device: 7,
        "memory_allocated": lambda device: 4,
        "get_device_name": lambda device: f"GPU {device.index}",
    }
    for name, tells in told.items():
        monkeypatch.setattr(torch.cuda, name, tells)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert this_machine("auto") == Machine("GPU 1", 8, True)
    assert this_machine("cuda") == Machine("GPU 0", 8, True)
    monkeypatch.setattr(machine, "_available", lambda: 3)
    assert this_machine("cpu") == Machine("this machine", 3, False)
    assert gpu_of("cuda:2") is None  # which loading refuses


def test_the_published_models_presets_leave_memory_to_the_plan():
    for name in ("cogvideox-2b", "cogvideox-5b", "cogvideox1.5-5b"):
        assert read_settings(name).backbone.items() >= AUTO.items()


def test_t5_keeps_a_layer_in_float32_under_float16():
    text = empty_backbone("THUDM/CogVideoX-2b", "float16").pipeline.text_encoder
    half, exact = (sum(weights_of(text, kind)) for kind in (torch.float16, torch.bfloat16))
    kept = sum(w.numel() for name, w in text.named_parameters() if ".wo." in name)
    assert half == exact + 2 * kept
    assert half / 2**30 == pytest.approx(10.8, abs=0.2)
    eighth = sum(weights_of(text, torch.bfloat16, 8))
    embedding = text.shared.weight.numel()
    assert eighth == pytest.approx(exact / 2 + kept + embedding, rel=0.001)
