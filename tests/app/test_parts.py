"""The app's parts without a browser: command lines, uploads and words."""

import json
import os
import pickle
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ditflow import DitflowError
from ditflow.app.command_lines import (
    Choices,
    fit_args,
    on_page,
    predict_args,
    preview_args,
)
from ditflow.app.shipped_examples import PROMPT, examples, known_words
from ditflow.app.uploads import keep_embedding, keep_mask, keep_video, kept_references
from ditflow.app.view import about_embedding, message_html
from ditflow.cli import main
from ditflow.commands.app import is_loopback, read_users
from ditflow.commands.table import COMMANDS
from ditflow.settings.options import expand, over_default
from ditflow.settings.stacked import read_settings
from ditflow.sprites.world import captions
from tests.embedding.test_header import HEADER, TENSORS, write

PRESET = Choices("latents", 0, True, 5, 0, None, None, 6, False)
OUT, VIDEO = Path("out"), Path("references/clip.mp4")


def test_only_what_differs_from_the_presets_is_given():
    assert Choices.of(read_settings("sprites-rope")) == PRESET
    args = fit_args(["sprites-rope"], VIDEO, " a red ring \n\n a cross", PRESET, PRESET, OUT)
    assert args == [
        *("fit", "--config", "sprites-rope", "--video", "references/clip.mp4"),
        *("--prompts", "a red ring", "a cross", "--output", "out"),
    ]
    mask = Path("masks/object.png")
    chosen = Choices("positions", 3, False, 7, 2, 2, 9, 5, True, mask)
    given = fit_args([], VIDEO, "a", chosen, PRESET, OUT)
    assert given[5:-2] == [
        *("--target=positions", "--seed=3", "--injection=false", "--model.optimization_steps=7"),
        *("--start-frame=2", "--stride=2", "--num-frames=9", "--block=5", "--confidence=true"),
        "--mask=masks/object.png",
    ]
    shown = preview_args([], VIDEO, chosen, PRESET, OUT)
    assert shown[3:-2] == [
        *("--start-frame=2", "--stride=2", "--num-frames=9", "--block=5"),
        "--mask=masks/object.png",
    ]
    # Without a number of frames the presets' holds.
    nine = replace(PRESET, num_frames=9)
    assert "--num" not in " ".join(fit_args([], VIDEO, "a", PRESET, nine, OUT))


def test_advice_is_in_the_words_of_the_page():
    assert on_page("by --start-frame and --num-frames.") == "by “First frame” and “Frames”."
    assert on_page("by --blocks, by --block.") == "by “Guided block”, by “Guided block”."
    assert on_page("--block-size --seeds 3 --resume a") == "--block-size --seeds 3 --resume a"


@pytest.mark.parametrize(
    "prompts", ["--model.backbone.name=evil", "-c", '["a"]', "a\n--config {model: {}}"]
)
def test_a_prompt_never_becomes_an_option(prompts):
    args = fit_args([], VIDEO, prompts, PRESET, PRESET, OUT)
    expanded = expand(args)
    wanted = json.dumps(prompts.splitlines())
    assert [token for token in expanded if "evil" in token or token == "-c"] in (
        [],
        [f"--data.prompts={wanted}"],
    )
    assert f"--data.prompts={wanted}" in expanded


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": None}, "seed is empty"),
        ({"block": True}, "block is empty"),
        ({"target": ["x"]}, "target is empty"),
        ({}, "prompts"),
    ],
)
def test_what_a_browser_sends_wrong_is_one_line(change, expected):
    with pytest.raises(DitflowError, match=expected):
        fit_args([], VIDEO, "a" if change else " \n", replace(PRESET, **change), PRESET, OUT)


def test_seeds_of_a_predict():
    embedding = Path("fit/motion.safetensors")
    assert predict_args(embedding, "a", "", OUT)[3:] == ["--prompts", "a", "--output", "out"]
    assert predict_args(embedding, "a", "0, 1 2", OUT)[5:9] == ["--seeds", "0", "1", "2"]
    with pytest.raises(DitflowError, match="seeds=--config x"):
        predict_args(embedding, "a", "--config x", OUT)


def test_configurations_without_a_backbone_lie_over_the_default(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("model: {block: 5}")
    assert over_default([str(own)]) == ["sprites-rope", str(own)]
    assert over_default(["cogvideox-5b", str(own)]) == ["cogvideox-5b", str(own)]
    assert over_default([]) == ["sprites-rope"]


def test_a_reference_is_kept_once(reference_video, tmp_path):
    kept = keep_video(reference_video, tmp_path, 25)
    assert kept.parent == tmp_path / "references"
    assert kept.read_bytes() == reference_video.read_bytes()
    assert keep_video(reference_video, tmp_path, 25) == kept
    hostile = tmp_path / "--config=x; $(touch y) <b>.mp4"
    hostile.write_bytes(reference_video.read_bytes())
    renamed = keep_video(hostile, tmp_path, 25)
    assert renamed.name.startswith("config-x-touch-y-b-")
    os.utime(kept, (1, 1))
    assert kept_references(tmp_path) == [renamed, kept]
    os.utime(renamed, (2, 2))
    keep_video(reference_video, tmp_path, 25)
    assert kept_references(tmp_path) == [kept, renamed]


def test_a_mask_is_checked_as_a_reference_is(reference_video, tmp_path):
    Image.new("L", (64, 64), 255).save(tmp_path / "object.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG" + b"x" * 100)
    for path in (tmp_path / "object.png", reference_video):
        kept = keep_mask(path, tmp_path, 25)
        assert kept.parent == tmp_path / "masks"
        assert kept.read_bytes() == path.read_bytes()
    for path, frames, expected in (
        (tmp_path / "broken.png", 25, "^mask=broken.png is not an image"),
        (Path("notes.txt"), 25, "^mask=notes.txt must be one of .png, "),
        (reference_video, 24, "^mask=reference.mp4 has 25 frames, .* at most 24; "),
    ):
        with pytest.raises(DitflowError, match=expected):
            keep_mask(path, tmp_path, frames)


def test_what_is_no_reference_is_refused(reference_video, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 1000)
    (tmp_path / "notes.txt").write_text("no video")
    for name, frames, expected in (
        ("broken.mp4", 25, "^video=broken.mp4 is cut short: its index"),
        ("notes.txt", 25, "^video=notes.txt must be one of"),
        ("moving.gif", 25, "^video=moving.gif must be one of .mp4, .mov, .webm."),
        (str(reference_video), 24, "^video=reference.mp4 has 25 frames, .* at most 24; "),
    ):
        with pytest.raises(DitflowError, match=expected):
            keep_video(tmp_path / name, tmp_path, frames)
    assert not (tmp_path / "references").exists()


def test_a_hostile_embedding_is_refused(tmp_path):
    pickled, foreign = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    pickled.write_bytes(pickle.dumps({"latents": [1.0]}))
    save_file({"x": torch.zeros(1)}, foreign)
    for path, expected in ((pickled, "not a whole safetensors"), (foreign, "not a motion emb")):
        with pytest.raises(DitflowError, match=f"embedding={path.name} .*{expected}"):
            keep_embedding(path, tmp_path)
    assert not (tmp_path / "embeddings").exists()


def test_examples_of_a_folder_and_of_a_manifest(reference_video, tmp_path):
    (found,) = examples(str(reference_video.parent), True, tmp_path)
    assert found.video == reference_video
    drawn = examples(None, True, tmp_path)
    assert len(drawn) == 6
    assert all(example.video.is_file() and example.prompt for example in drawn)
    assert examples(None, False, tmp_path) == []
    (tmp_path / "none").mkdir()
    for given, expected in (
        (str(tmp_path / "none"), "no videos"),
        (
            "clips/",
            "^references=clips/ is neither a folder of videos nor a manifest; manifests are",
        ),
    ):
        with pytest.raises(DitflowError, match=expected):
            examples(given, True, tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("references: {class_path: os.system}")
    with pytest.raises(DitflowError, match="not usable"):
        examples(str(wrong), True, tmp_path)


@pytest.mark.parametrize(("target", "expected"), [("latents", True), ("positions", False)])
def test_of_an_embedding_of_latents_it_says_what_it_is_no_good_for(target, expected, tmp_path):
    tensors = TENSORS if target == "positions" else {"latents": torch.zeros(HEADER.latent_shape)}
    header = asdict(replace(HEADER, target=target))
    path = write(tmp_path / "motion.safetensors", header, tensors)
    assert ("fit positions to reuse a motion" in about_embedding(str(path))) == expected
    path.unlink()
    assert about_embedding(str(path)) == about_embedding(None) == ""


def test_the_words_that_the_sprites_know():
    assert "ring" in known_words()
    assert PROMPT in captions()


def test_texts_are_never_markup():
    assert "<script>" not in message_html("<script>alert(1)</script>")


def test_who_may_use_it(tmp_path):
    path = tmp_path / "users"
    path.write_text("ann: a:b \n\nbob:c\n")
    assert read_users(path) == [("ann", " a:b"), ("bob", "c")]
    for text in ("", "ann", ":x"):
        path.write_text(text)
        with pytest.raises(DitflowError, match="user:password"):
            read_users(path)
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.com")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--max-frames", "0"], "max_frames=0"),
        (["--config", "sprites-bent"], "config=sprites-bent"),
        (["--auth", "/nowhere"], "auth=/nowhere"),
        (["--references", "nothing"], "references=nothing"),
        (["--output", "/dev/null/app"], "output=/dev/null/app"),
    ],
)
def test_what_is_wrong_is_said_before_it_starts(args, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["app", *args]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ditflow: error: ")
    assert expected in line


def test_without_gradio_it_says_how_to_have_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ditflow.commands.app.find_spec", lambda name: None)
    assert main(["app", "--output", str(tmp_path)]) == 2
    assert 'pip install "ditflow[app]"' in capsys.readouterr().err


def test_the_parser_needs_no_gradio(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("ditflow.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)  # importing it fails
    (app,) = (command for command in COMMANDS if command.name == "app")
    assert app.parser().prog == "ditflow app"
