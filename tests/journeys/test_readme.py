"""The README's Python, run as it stands there, and its commands, held against the parsers."""

import re
import shlex
from pathlib import Path

import torch

from ditflow.commands.table import COMMANDS
from ditflow.video.reading import read_video
from ditflow.video.writing import write_video

README = Path(__file__).parents[2] / "README.md"
DOCS = [README.parent / "docs" / f"{name}.md" for name in ("quickstart", "commands", "python")]


def blocks(language: str) -> list[str]:
    """Code of the README and of the pages that it sends users to first."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (README, *DOCS))
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def block(containing: str) -> str:
    """The Python block with a text in it, which is the same wherever it stands."""
    (found,) = {code for code in blocks("python") if containing in code}
    return found


def commands() -> list[list[str]]:
    """Every `ditflow` command of these, as a shell would split it."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words[:1] == ["ditflow"]]


def test_every_command_has_the_options_that_are_named():
    known = {
        each.name: {option for action in each.parser()._actions for option in action.option_strings}
        for each in COMMANDS
    }
    assert len(commands()) > 15
    for words in commands():
        name = " ".join(words[:2]) if words[0] == "rate" else words[0]
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert [option for option in given if option not in known[name]] == [], words


def test_what_is_reused_on_other_prompts_was_fitted_to_positions():
    (leopard,) = (words for words in commands() if "runs/leopard" in words)
    assert leopard[leopard.index("--target") + 1] == "positions"


def test_fitting_in_python(tmp_path, monkeypatch, reference_video):
    monkeypatch.chdir(tmp_path)
    frames = torch.from_numpy(read_video(reference_video)).permute(0, 3, 1, 2) / 255
    write_video(frames, tmp_path / "ref.mp4")
    exec(compile(block("trainer.fit"), "README.md", "exec"), {})
    assert read_video(tmp_path / "runs/python/video.mp4").shape == (25, 64, 64, 3)
    assert (tmp_path / "runs/python/motion.safetensors").exists()


def test_a_pipeline_with_an_embedding(tmp_path, monkeypatch, reference_video):
    """The same lines with the embedded pipeline in the place of CogVideoX-5B on a GPU."""
    from ditflow.cli import main
    from ditflow.utils.shipped import EMBEDDED

    monkeypatch.chdir(tmp_path)
    quick = ["--steps", "4", "--model.optimization_steps", "1", "--target", "positions"]
    run = ["--prompt", "a red circle on a gray background", "--output", "runs/leopard"]
    assert main(["fit", "--video", str(reference_video), *run, *quick]) == 0
    code = block("applied_to").replace("THUDM/CogVideoX-5b", str(EMBEDDED / "sprites-rope"))
    code = code.replace('.to("cuda")', "").replace("bfloat16", "float32")
    code = code.replace("**embedding", "max_sequence_length=16, **embedding")
    namespace: dict = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert len(namespace["video"]) == 25


def test_the_motion_flow_alone():
    namespace = {"query": torch.rand(2, 6 * 12, 16), "key": torch.rand(2, 6 * 12, 16)}
    code = block("motion_flow(").replace("30, 45", "3, 4")
    exec(compile(code, "README.md", "exec"), namespace)
    assert namespace["flow"].shape == (6, 6, 12, 2)
