"""Motion embeddings on a hub, which here is a server on loopback."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image

from ditflow import DitflowError, MotionEmbedding
from ditflow.cli import main
from ditflow.commands.push import animated
from ditflow.embedding.hub import embedding_file
from ditflow.embedding.publishing import published
from ditflow.utils.shipped import is_hub_name
from ditflow.video.reading import read_video
from ditflow.video.writing import write_video
from tests.embedding.test_header import HEADER, TENSORS, write
from tests.hub_server import COMMIT, TOKEN, Hub, running_hub

NAME = "ada/motion"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running one that huggingface_hub takes for its own, with an empty cache of its own."""
    with running_hub() as running:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield running


@pytest.fixture
def fitted(tmp_path) -> Path:
    """What a fit leaves, as far as publishing is concerned."""
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    backbone = HEADER.model["backbone"]
    options = backbone["init_args"] | {"device": "cuda:1"}
    header = replace(
        HEADER,
        reference="jane-at-home.mp4",
        masked=True,
        mask="jane-at-home.png",
        mask_sha256="1" * 64,
        confidence=True,
        model=HEADER.model | {"backbone": backbone | {"init_args": options}},
    )
    write(folder / "motion.safetensors", asdict(header))
    write_video(torch.rand(5, 3, 32, 32), folder / "video.mp4")
    write_video(torch.rand(5, 3, 32, 32), folder / "reference.mp4")
    return folder


def publish(hub: Hub, path: Path) -> None:
    hub.repositories[NAME] = {"motion.safetensors": path.read_bytes()}


def test_there_and_back(hub, fitted, capsys):
    assert main(["push", str(fitted), NAME, "--private", "true", "--license", "cc-by-4.0"]) == 0
    out = capsys.readouterr().out
    assert f"{hub.address}/{NAME}" in out
    assert "--include-reference true" in out
    files = hub.repositories[NAME]
    assert set(files) == {"motion.safetensors", "README.md", "motion.gif"}
    assert hub.visibility[NAME] == "private"
    assert len(hub.commits) == 1
    assert b"jane-at-home" not in b"".join(files.values())
    assert b"cuda:1" not in b"".join(files.values())
    hub.requests.clear()
    embedding = MotionEmbedding.from_pretrained(NAME)
    assert all("motion.safetensors" in request for request in hub.requests)
    assert set(embedding.tensors) == {"positions"}
    assert embedding.header == replace(
        MotionEmbedding.load(fitted / "motion.safetensors").header,
        reference="",
        reference_sha256="",
        mask="",
        mask_sha256="",
        model=HEADER.model,
    )
    assert main(["inspect", NAME]) == 0
    said = capsys.readouterr().out
    assert said.count("left out when it was published") == 2  # the reference and its mask
    assert "how sure the attention was" in said
    assert b"at block 6, weighted by a mask and confidence" in files["README.md"]


def test_a_second_push_replaces_the_first_and_can_include_the_reference(hub, fitted, capsys):
    assert main(["push", str(fitted), NAME]) == 0
    assert hub.visibility[NAME] is None
    assert "names no licence" in capsys.readouterr().out
    path = str(fitted / "motion.safetensors")
    assert main(["push", path, NAME, "--include-reference", "true"]) == 0
    embedding = MotionEmbedding.from_pretrained(NAME)
    assert torch.equal(embedding.tensors["reference_latents"], TENSORS["reference_latents"])
    assert embedding.header.reference == "jane-at-home.mp4"
    assert len(hub.commits) == 2


def test_what_is_to_be_private_is_not_put_into_a_public_repository(hub, fitted, capsys):
    hub.repositories[NAME] = {}
    assert main(["push", str(fitted), NAME, "--private", "true"]) == 2
    said = capsys.readouterr().err
    assert f"private: {NAME} is there already, and public" in said
    assert hub.repositories[NAME] == {}
    hub.visibility[NAME] = "private"
    assert main(["push", str(fitted), NAME, "--private", "true"]) == 0
    assert "motion.safetensors" in hub.repositories[NAME]


def test_what_was_fetched_is_kept_and_needs_no_network(hub, fitted, monkeypatch):
    publish(hub, fitted / "motion.safetensors")
    first = embedding_file(f"{NAME}@{COMMIT}")
    hub.requests.clear()
    assert embedding_file(NAME, revision=COMMIT) == first
    assert hub.requests == []  # a commit never changes
    embedding_file(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert MotionEmbedding.from_pretrained(NAME).header.reference == "jane-at-home.mp4"
    assert hub.requests == []


def test_what_is_here_goes_first(hub, fitted, tmp_path):
    path = fitted / "motion.safetensors"
    header = MotionEmbedding.load(path).header
    hub.repositories["runs/first"] = {"motion.safetensors": b"another"}
    for named in (path, fitted, "runs/first", Path("runs/first")):
        assert MotionEmbedding.from_pretrained(named).header == header
    with pytest.raises(DitflowError, match="does not exist"):
        MotionEmbedding.from_pretrained("runs/motion.safetensors")
    with pytest.raises(DitflowError, match="does not exist"):
        MotionEmbedding.from_pretrained(tmp_path)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ada/motion", True),
        ("ada/motion@v1.0", True),
        ("ada/motion.safetensors", False),
        ("motion", False),
        ("runs/first/motion", False),
        ("../motion", False),
        (".cache/motion", False),
        ("/etc/motion", False),
        ("ada/mo tion", False),
        ("ada/motion\n", False),
    ],
)
def test_hub_names(name, expected):
    assert is_hub_name(name) == expected


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("missing", NAME, "neither a file or folder here nor a repository"),
        ("gated", NAME, "asks for its conditions"),
        ("revision", f"{NAME}@v9", "no such revision"),
        ("empty", NAME, "has no motion.safetensors"),
        ("offline", NAME, "HF_HUB_OFFLINE is set"),
        # huggingface_hub tries again for half a minute.
        pytest.param(*("unreachable", NAME, "the hub cannot be reached"), marks=pytest.mark.slow),
        ("name", "ada--/motion..", "is no repository's name"),
        ("pickle", NAME, "is not a whole safetensors file"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(hub, fitted, kind, name, expected, monkeypatch, capsys):
    publish(hub, fitted / "motion.safetensors")
    if kind == "missing":
        hub.repositories.clear()
    elif kind == "gated":
        hub.gated.add(NAME)
    elif kind == "empty":
        hub.repositories[NAME] = {"model.safetensors": b""}
    elif kind == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif kind == "unreachable":
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere())
    elif kind == "pickle":
        hub.repositories[NAME] = {"motion.safetensors": b"\x80\x04N."}
    given = ["predict", "--embedding", name, "--prompts", "a", "--output", "out"]
    assert main(given) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    (line,) = [line for line in lines if line.startswith("ditflow: error: embedding=")]
    assert expected in line
    assert not Path("out").exists()


def nowhere() -> str:
    """Where nothing listens: a hub that has ended."""
    with running_hub() as ended:
        address = ended.address
    return address + "/{repo_id}/resolve/{revision}/{filename}"


def test_a_push_that_may_not_is_one_line(hub, fitted, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    assert main(["push", str(fitted), NAME]) == 2
    assert "log in with `hf auth login`" in capsys.readouterr().err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert main(["push", str(fitted), NAME]) == 2
    assert "while HF_HUB_OFFLINE is set" in capsys.readouterr().err
    assert main(["push", str(fitted), "motion"]) == 2
    assert "repo_id=motion is no repository's name" in capsys.readouterr().err
    assert main(["push", "runs/second", NAME]) == 2
    assert "runs/second does not exist" in capsys.readouterr().err
    assert main(["push", str(fitted), NAME, "--picture", str(fitted / "video.mp4")]) == 2
    assert "picture=" in capsys.readouterr().err
    assert hub.repositories == {}


def test_only_a_fits_own_videos_are_shown(fitted, tmp_path):
    folder = tmp_path / "fit"
    shutil.copytree(fitted, folder)
    (folder / "video.mp4").unlink()
    write_video(torch.rand(5, 3, 32, 32), folder / "video_of_mine.mp4")
    assert animated(folder, tmp_path / "shown.gif", include_reference=True) is None
    write_video(torch.rand(5, 3, 32, 32), folder / "video-1-a-red-ring.mp4")
    assert animated(folder, tmp_path / "shown.gif", include_reference=False) is not None
    assert read_video(tmp_path / "shown.gif").shape[1:3] == (32, 32)


def test_a_published_folder(fitted, tmp_path):
    embedding = MotionEmbedding.load(fitted / "motion.safetensors")
    header = replace(
        embedding.header,
        backbone="/home/jane/models/cog/",
        prompts=("a `red` circle | <b>\n# x", "b"),
        model={"backbone": {"init_args": {"name": "/home/jane/models/cog/", "dtype": "bfloat16"}}},
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "shot.png")
    folder = MotionEmbedding(header, embedding.tensors).save_pretrained(
        tmp_path / "out", picture=tmp_path / "shot.png", repo_id=NAME
    )
    assert {path.name for path in folder.iterdir()} == {
        "motion.safetensors",
        "README.md",
        "motion.png",
    }
    read = MotionEmbedding.from_pretrained(folder)
    assert read.header.backbone == "cog"
    assert b"jane" not in (folder / "motion.safetensors").read_bytes()
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "ditflow"
    assert card.data.pipeline_tag == "text-to-video"
    assert card.data.base_model is None
    assert card.data.license is None
    assert "jane" not in card.content
    assert "- ``a `red` circle ¦ <b>?# x``" in card.text.replace("`` a", "``a").replace(
        "x ``", "x``"
    )
    assert f"--embedding {NAME}" in card.text
    assert "![Videos with this motion](motion.png)" in card.text
    assert "no licence" in card.text
    # What a folder holds already is not lost, a fit's own embedding least of all.
    relative = replace(header, backbone="./models/mine")
    assert published(MotionEmbedding(relative, embedding.tensors)).header.backbone == "mine"
    with pytest.raises(DitflowError, match=r"holds a motion.safetensors already"):
        embedding.save_pretrained(folder)


def test_a_card_names_its_base_model(fitted, tmp_path):
    embedding = MotionEmbedding.load(fitted / "motion.safetensors")
    options = {"name": "THUDM/CogVideoX-5b", "dtype": "bfloat16", "scheduler": "dpm"}
    header = replace(
        embedding.header,
        backbone="THUDM/CogVideoX-5b",
        model={"backbone": {"class_path": "ditflow.load_backbone", "init_args": options}},
    )
    folder = MotionEmbedding(header, embedding.tensors).save_pretrained(
        tmp_path, license="cc-by-4.0"
    )
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model == "THUDM/CogVideoX-5b"
    assert card.data.base_model_relation == "adapter"
    assert card.data.license == "cc-by-4.0"
    code = card.text.split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert "torch.bfloat16" in code
    assert "CogVideoXDPMScheduler.from_config" in code
    # Of latents: the prompt whose look they have, and of several the one to start from.
    latents = replace(header, target="latents", prompts=('it\'s a "ring"', "b"))
    folder = MotionEmbedding(latents, embedding.tensors).save_pretrained(tmp_path / "latents")
    text = ModelCard.load(folder / "README.md").text
    assert """--prompts 'it'"'"'s a "ring"' --output""" in text
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert "applied_to(pipe, prompt='it\\'s a \"ring\"'):" in code
