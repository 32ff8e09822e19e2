"""What is told about versions, and how little is imported to tell it."""

import subprocess
import sys

import diffusers
import pytest
import torch

from ditflow.cli import main
from ditflow.utils.versions import versions
from ditflow.version import __version__


def test_they_are_the_packages_own(capsys):
    found = versions()
    assert found["ditflow"] == __version__
    assert found["torch"].startswith(torch.__version__)
    assert found["diffusers"] == diffusers.__version__
    built = torch.version.cuda or torch.version.hip or "CPU"
    assert built in found["torch"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"ditflow {__version__}\npython 3.")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_no_heavy_library_is_imported_for(option):
    code = (
        "import sys; from ditflow.cli import main; main([sys.argv[1]]);"
        "print({'torch', 'diffusers', 'lightning', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, option]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_a_video_is_looked_into_without_torch():
    code = "import sys; import ditflow.video.reading; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_an_embedding_is_read_without_diffusers():
    code = "import sys; from ditflow import MotionEmbedding; print('diffusers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
