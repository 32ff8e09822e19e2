"""Paths as they are typed, and what is said of them before anything large is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ditflow.errors import DitflowError
from ditflow.settings.typed_paths import home_expanded
from ditflow.utils.files import check_output
from ditflow.utils.shipped import check_source
from tests.typed import printed_config

REPOSITORY = Path(__file__).parents[2]
HOME = str(Path.home())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["fit", "--output=~/x"], ["fit", f"--output={HOME}/x"]),
        (["--output", "~/x", "--config", "~/a.yaml"], None),
        (["--videos", "~/a.mp4", "~"], ["--videos", f"{HOME}/a.mp4", HOME]),
        (["inspect", "~/x"], ["inspect", f"{HOME}/x"]),
        (["--prompt", "~/x", "--negative-prompt=~"], ["--prompt", "~/x", "--negative-prompt=~"]),
        (["--video=a~/x", "--seed", "1", "-c", "~x"], ["--video=a~/x", "--seed", "1", "-c", "~x"]),
    ],
)
def test_home_is_expanded_in_every_path(given, expected):
    expected = expected or [token.replace("~", HOME) for token in given]
    assert home_expanded(given) == expected


def test_home_is_expanded_in_configurations(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"data": {"video": "~/a.mp4"}}))
    given = ["fit", "--config", "sprites-rope", "--config", str(path)]
    assert printed_config(capsys, *given)["data"]["video"] == f"{HOME}/a.mp4"


CHILD = """
import sys
from ditflow.cli import main
status = main(sys.argv[1:])
print(status, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fit --video nope.mp4", "video=nope.mp4 does not exist"),
        ("preview --video=nope.mp4", "video=nope.mp4 does not exist"),
        ("fit --mask nope.png", "mask=nope.png does not exist"),
        ("fit --data.prompts_file nope.txt", "prompts_file=nope.txt does not exist"),
        ("predict --embedding nope", "embedding=nope does not exist"),
        ("predict --embedding tests", "embedding=tests/motion.safetensors does not exist"),
        ("test --videos README.md nope.mp4", "videos=nope.mp4 does not exist"),
        ("fit --backbone model.gguf", "backbone=model.gguf is a single file; give a folder"),
        ("selftest --output README.md/x", "output=README.md/x is not writable (Not a directory)"),
    ],
)
def test_a_wrong_path_is_said_before_torch_is_imported(given, expected):
    command = [sys.executable, "-c", CHILD, *given.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "2 False\n"
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_is_no_pipeline(tmp_path):
    with pytest.raises(DitflowError, match="is a single file"):
        check_source(str(REPOSITORY / "README.md"))
    check_source(str(tmp_path))
    check_source("THUDM/CogVideoX-5b")
    check_output(tmp_path / "new" / "folder")


@pytest.mark.parametrize("given", [["presets"], ["presets", "sprites-rope"], ["--help"]])
def test_what_nobody_reads_is_no_error(given):
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        [sys.executable, "-m", "ditflow", *given], stdout=pipe, stderr=pipe, cwd=REPOSITORY
    )
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(60) == 141
    child.stderr.close()
