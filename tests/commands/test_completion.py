"""Shell completion, tried in bash."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ditflow.cli import main
from ditflow.commands.table import COMMANDS

pytest.importorskip("shtab")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

TRY = """
source "$1"; shift
complete -p ditflow > /dev/null || exit 1
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_ditflow ditflow "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "ditflow"
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


def completed(script: Path, *words: str, cwd: Path | None = None) -> set[str]:
    """What bash offers for the last word."""
    command = ["bash", "-c", TRY, "bash", str(script), "ditflow", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)
    return set(done.stdout.split())


def test_commands(script):
    assert completed(script, "") == {command.words[0] for command in COMMANDS}
    assert completed(script, "pl") == {"plan"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "--config", "sprites-r"], {"sprites-rope"}),
        (["fit", "--config", "cogvideox-5b", "--config", "smm"], {"smm"}),
        (["plan", "-c", "cogvideox1"], {"cogvideox1.5-5b"}),
        (["benchmark", "--config", "davis"], {"davis-table1"}),
        (["fit", "--backbone", "sprites-s"], {"sprites-sincos"}),
        (["fit", "--target", ""], {"latents", "positions"}),
        (["predict", "--dtype", "b"], {"bfloat16"}),
        (["fit", "--injection", "t"], {"true"}),
        (["test", "--tracker", "l"], {"lucas-kanade"}),
        (["completion", "ba"], {"bash"}),
    ],
)  # fmt: skip
def test_values(script, words, expected, tmp_path):
    assert completed(script, *words, cwd=tmp_path) == expected


def test_options(script):
    assert {"--video", "--prompt", "--prompts-file"} <= (
        completed(script, "fit", "--v") | completed(script, "fit", "--p")
    )
    assert "--seeds" in completed(script, "predict", "--s")
    assert "--seeds" not in completed(script, "fit", "--s")
    assert "--seed" in completed(script, "predict", "--s")
    assert "--model.backbone.vae_tiling" in completed(script, "fit", "--model.backbone.v")
    assert "--trainer.devices" in completed(script, "fit", "--trainer.de")
    assert completed(script, "push", "a", "b/c", "--inc") == {"--include-reference"}


def test_files(script, tmp_path):
    (tmp_path / "ref.mp4").touch()
    (tmp_path / "mine.yaml").touch()
    assert completed(script, "fit", "--video", "re", cwd=tmp_path) == {"ref.mp4"}
    assert completed(script, "fit", "--config", "mi", cwd=tmp_path) == {"mine.yaml"}
    assert completed(script, "inspect", "re", cwd=tmp_path) == {"ref.mp4"}


def test_zsh_has_its_own(capsys):
    assert main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert "sprites-rope" in out
    assert "vae_tiling" in out
    assert main(["completion", "powershell"]) == 2
