"""Motion embeddings from strangers: whatever they hold, they load whole or are one clear line."""

import copy
import json
import random
import struct
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ditflow import DitflowError, MotionEmbedding
from ditflow.cli import main
from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.reader import check_readable, read_header
from ditflow.errors import shortened
from tests.mutation import mutated

HEADER = EmbeddingHeader(
    ditflow_version="0.1.0",
    family="cogvideox",
    backbone="sprites-rope",
    fingerprint="0" * 16,
    num_frames=9,
    height=32,
    width=32,
    latent_shape=(1, 3, 16, 4, 4),
    target="positions",
    parameterization="coordinates",
    scheduler="CogVideoXDPMScheduler",
    timesteps=(999, 499),
    guided_steps=1,
    objective="AttentionMotionFlow",
    block=6,
    prompts=("a red circle",),
    seed=0,
    reference="ref.mp4",
    reference_sha256="0" * 64,
    fps=8.0,
    model={
        "backbone": {
            "class_path": "ditflow.load_backbone",
            "init_args": {"name": "sprites-rope", "dtype": "float32"},
        },
        "guidance_scale": 3.0,
    },
    injection={"enabled": False},
)
TENSORS = {"positions": torch.zeros(1, 12, 3), "reference_latents": torch.zeros(1, 3, 16, 4, 4)}
LATER = {
    "model",
    "injection",
    "scheduler_fingerprint",
    "masked",
    "mask",
    "mask_sha256",
    "confidence",
    "frames_taken",
    "crop",
}
"""Fields that files written before they were have not."""
ODD = [
    None, True, -1, 0, 1, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 20_000,
    "\x1b[2J", "../../etc/passwd", "os.system", [], [1], [[]], [[[0]]], {},
    {"class_path": "os.system"}, "\ud800",
]  # fmt: skip


def write(path: Path, header: dict, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    save_file(tensors or TENSORS, path, metadata={"ditflow": json.dumps(header)})
    return path


def outcome(path: Path) -> str | None:
    """None if it loads, and then as a fit would have written it; the error if not."""
    try:
        embedding = MotionEmbedding.load(path)
    except DitflowError as error:
        said = str(error)
    else:
        said = None
    if said is not None:
        assert "\n" not in said
        assert len(said) < 1000
        return said
    for tensor in embedding.tensors.values():
        assert torch.isfinite(tensor).all()
    assert len(embedding.header.timesteps) >= embedding.header.guided_steps >= 1
    return None


def test_a_call_has_what_a_header_leaves_out():
    model = {"guidance_scale": 2.0, "backbone": HEADER.model["backbone"]}
    arguments = MotionEmbedding(replace(HEADER, model=model), TENSORS).call_arguments()
    assert arguments["guidance_scale"] == 2.0
    assert "negative_prompt" not in arguments
    assert "use_dynamic_cfg" not in arguments
    bare = MotionEmbedding(replace(HEADER, model={}), TENSORS).call_arguments()
    assert bare["guidance_scale"] == 0.0


def test_a_good_one_loads(tmp_path):
    assert outcome(write(tmp_path / "m", asdict(HEADER))) is None
    assert read_header(tmp_path / "m") == HEADER
    copies = {"positions": torch.zeros(1, 2, 12, 3)}  # of queries and of keys
    assert outcome(write(tmp_path / "m", asdict(HEADER), copies)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 1200.0}, "fps=1200.0"),
        ({"prompts": ("x" * 10_001,)}, "prompts="),
        ({"prompts": ("\N{FOX FACE}" * 9_000,) * 10}, "characters in the embedding's header"),
        ({"seed": 2**64}, "seed="),
        ({"model": {"negative_prompt": None}}, "model="),
        ({}, None),
    ],
)
def test_what_its_reader_would_refuse_is_not_fitted(changes, message, tmp_path):
    header = replace(HEADER, **changes)
    said = outcome(write(tmp_path / "m", asdict(header)))
    assert (said is None) == (message is None)
    if message is None:
        check_readable(header)
        return
    with pytest.raises(DitflowError, match=message):
        check_readable(header)


def test_older_ones_load(tmp_path):
    header = {name: value for name, value in asdict(HEADER).items() if name not in LATER}
    read = read_header(write(tmp_path / "m", header))
    assert (read.masked, read.mask, read.confidence) == (False, "", False)
    assert (read.frames_taken, read.crop) == ((), "center")


@pytest.mark.parametrize("name", [field.name for field in fields(EmbeddingHeader)])
def test_every_field_takes_no_odd_value(name, tmp_path):
    """Or takes it harmlessly, as a text may be any text."""
    for value in ODD:
        header = asdict(HEADER) | {name: value}
        said = outcome(write(tmp_path / "m", header))
        changes_nothing = (
            (isinstance(value, str) and value != "\ud800")
            or type(value) in (int, dict)
            or value == 1e308
        )
        changes_nothing |= (name, value) == ("timesteps", [1])
        changes_nothing |= name == "frames_taken" and value in ([], [1])
        changes_nothing |= name in ("masked", "confidence") and value is True
        assert said is not None or changes_nothing, (name, value)
    header = asdict(HEADER)
    del header[name]
    if name not in LATER:
        assert outcome(write(tmp_path / "m", header)) is not None


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"positions": torch.full((1, 12, 3), float("nan"))}, "not finite"),
        ({"positions": torch.full((1, 12, 3), float("inf"))}, "not finite"),
        ({"positions": torch.zeros(2, 12, 3)}, "positions of shape (2, 12, 3)"),
        ({"positions": torch.zeros(1, 12, 4)}, "positions of shape"),
        ({"positions": torch.zeros(1, 0, 3)}, "positions of shape"),
        ({"positions": torch.zeros(3)}, "positions of shape"),
        ({"positions": torch.zeros(1, 49, 3)}, "positions of shape"),
        ({"positions": torch.zeros(1, 3, 12, 3)}, "positions of shape"),
        ({"positions": torch.zeros(1, 2, 12, 4)}, "positions of shape"),
        ({"positions": torch.zeros(1, 12, 3, dtype=torch.int64)}, "positions of type I64"),
        ({"positions": torch.zeros(1, 12, 3, dtype=torch.float64)}, "positions of type F64"),
        ({"latents": torch.zeros(1, 3, 16, 4, 4)}, "there are no positions"),
        (TENSORS | {"weight": torch.zeros(1)}, "a tensor named weight"),
        (TENSORS | {"reference_latents": torch.zeros(1, 3, 16, 4, 5)}, "reference_latents"),
    ],
)
def test_tensors_that_no_fit_writes(tensors, expected, tmp_path):
    assert expected in outcome(write(tmp_path / "m", asdict(HEADER), tensors))


def test_latents_match_their_prompts(tmp_path):
    header = asdict(HEADER) | {"target": "latents", "prompts": ["a", "b"]}
    for rows, loads in ((2, True), (1, False), (3, False)):
        tensors = {"latents": torch.zeros(rows, 3, 16, 4, 4)}
        assert (outcome(write(tmp_path / "m", header, tensors)) is None) == loads


def raw(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file written by hand."""
    size = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + header + data)
    return path


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"{}", None),
        (b"{}", 2**62),
        (b"{}", 2**40),
        (b'{"positions":{"dtype":"F32","shape":[1099511627776,3],"data_offsets":[0,12]}}', None),
        (b'{"p":{"dtype":"F32","shape":[3],"data_offsets":[0,1099511627776]}}', None),
        (b'{"p":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}}', None),
        (b'{"__metadata__":{"ditflow":"' + b"[" * 100_000 + b'"}}', None),
        (b'{"__metadata__":{"ditflow":"' + b"9" * 100_000 + b'"}}', None),
        (b'{"__metadata__":{"ditflow":"' + b" " * 5_000_000 + b'"}}', None),
        (b'{"__metadata__":{"ditflow":"[]"}}', None),
        (b'{"__metadata__":{"ditflow":"{\\"format_version\\": \\"1\\"}"}}', None),
        (b'{"__metadata__":{"ditflow":7}}', None),
        (b"[" * 1_000_000, None),
        (b"\xff\xfe", None),
    ],
)
def test_files_written_by_hand(header, length, tmp_path):
    assert outcome(raw(tmp_path / "m", header, b"\0" * 12, length)) is not None


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutated_files(count, tmp_path):
    good = write(tmp_path / "good", asdict(HEADER)).read_bytes()
    chance, path = random.Random(0), tmp_path / "m"
    # The header is where it matters; half of the changes fall into it.
    end = 8 + struct.unpack("<Q", good[:8])[0]
    refused = 0
    for number in range(count):
        head, tail = (good[:end], good[end:]) if number % 2 else (good, b"")
        path.write_bytes(mutated(head, chance) + tail)
        refused += outcome(path) is not None
    assert refused > count / 3


def paths_of(tree, path=()):
    yield path
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from paths_of(tree[key], (*path, key))


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutated_headers(count, tmp_path):
    """Whole files whose JSON says something odd somewhere."""
    chance, path = random.Random(1), tmp_path / "m"
    good = json.loads(json.dumps(asdict(HEADER)))
    places = [place for place in paths_of(good) if place]
    for _ in range(count):
        header = copy.deepcopy(good)
        *above, key = chance.choice(places)
        inner = header
        for step in above:
            inner = inner[step]
        inner[key] = chance.choice(ODD)
        outcome(write(path, header))


def test_a_terminal_is_shown_no_escapes(tmp_path, capsys):
    header = asdict(HEADER) | {"prompts": ["a\x1b[2Jb\nseed 7"], "reference": "\x1b]0;x\x07"}
    assert main(["inspect", str(write(tmp_path / "m", header))]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "a?[2Jb?seed 7" in out
    assert shortened("x" * 99, 9) == "x" * 9 + "..."


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("model", "num_inference_steps"), 1001, "num_inference_steps=1001 of 2"),
        (("model", "num_inference_steps"), "2", "num_inference_steps=2 of 2"),
        (("model", "negative_prompt"), "\ud800", "not a motion embedding"),
        (("model", "backbone", "init_args", "device"), "meta", "device=meta is not one"),
        (("model", "backbone", "init_args", "device"), "hpu", "device=hpu is not one"),
        (("fps",), 1e-9, "fps=1e-09"),
    ],
)
def test_settings_that_no_library_takes(place, value, expected, tmp_path, capsys):
    header = json.loads(json.dumps(asdict(HEADER)))
    *above, name = place
    inside = header
    for key in above:
        inside = inside[key]
    inside[name] = value
    path = str(write(tmp_path / "m", header))
    given = ["--embedding", path, "--prompts", "a", "--output", str(tmp_path / "out")]
    assert main(["predict", *given]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


def test_a_memory_before_the_first_step_is_none_of_a_fit(tmp_path):
    latents = torch.zeros(1, 3, 16, 4, 4)
    tensors = {"latents": latents, "previous_prediction": latents.clone()}
    for guided, loads in ((1, False), (2, True)):
        header = asdict(HEADER) | {"target": "latents", "guided_steps": guided}
        assert (outcome(write(tmp_path / "m", header, tensors)) is None) == loads


@pytest.mark.parametrize(
    "given",
    [
        ["--config", "{model: {backbone: {init_args: {offload: none}}}}"],
        ["--config", "whole.yaml"],
        ["--model.backbone", "ditflow.load_backbone"],
        ['--model.backbone={"init_args": {"offload": "none"}}'],
    ],
)
def test_options_of_a_backbone_name_none(given, tmp_path, capsys, monkeypatch):
    """Another's model is fetched no more than without them."""
    monkeypatch.chdir(tmp_path)
    Path("whole.yaml").write_text(
        "model: {backbone: {class_path: ditflow.load_backbone, init_args: {offload: none}}}"
    )
    header = json.loads(json.dumps(asdict(HEADER)))
    header["model"]["backbone"]["init_args"]["name"] = "evil/model"
    predict = ["predict", "--embedding", str(write(tmp_path / "m", header)), "--prompts", "a"]
    assert main([*predict, "--output", "out", *given]) == 2
    assert "evil/model, which is no model of ditflow's" in capsys.readouterr().err
    own = "{model: {backbone: {class_path: ditflow.backbones.loading.load_backbone}}}"
    with pytest.raises(SystemExit):
        main([*predict, "--output", "out", "--config", own, "--print_config"])
    assert "evil/model" not in capsys.readouterr().out


def test_a_strangers_model_is_not_fetched_unless_named(tmp_path, capsys):
    header = asdict(HEADER)
    header["model"]["backbone"]["init_args"]["name"] = "evil/model"
    path = str(write(tmp_path / "m", header))
    given = ["--embedding", path, "--prompts", "a", "--output", str(tmp_path / "out")]
    assert main(["predict", *given]) == 2
    assert "evil/model, which is no model of ditflow's" in capsys.readouterr().err
    assert main(["predict", *given, "--backbone", "nobody/nothing"]) == 2
    assert "'nobody/nothing' could not be loaded" in capsys.readouterr().err
    assert main(["test", *given, "--video", "ref.mp4"]) == 2
    assert not (tmp_path / "out").exists()
