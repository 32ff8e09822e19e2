"""The one file in ComfyUI's `custom_nodes` by which it finds the nodes."""

import json
import subprocess
import sys
from pathlib import Path

from ditflow.errors import DitflowError, shortened
from ditflow.utils.files import write_text

NAME = "ditflow_nodes.py"
"""Not ditflow.py, which could be taken for the package."""

WORKFLOWS = Path(__file__).parent / "workflows"
"""Examples, to be dropped onto ComfyUI's page."""

HERE = '''\
"""ditflow's nodes. Written by `ditflow comfyui install`, which can write it again."""

from ditflow.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
'''

ELSEWHERE = '''\
"""ditflow's nodes, whose work is done by another Python, in processes of its own. Written by
`ditflow comfyui install --python`; to be written again when that Python or its ditflow moves."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

# The package alone, without its environment: its requirements are not for this Python.
spec = spec_from_file_location("ditflow", {package!r})
sys.modules["ditflow"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["ditflow"])

from ditflow.comfyui.elsewhere import node_mappings  # noqa: E402

NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = node_mappings({python!r})
'''


def write_nodes(folder: Path, python: Path | None = None) -> Path:
    """Write the file.

    Args:
        folder: ComfyUI's own, or its `custom_nodes`.
        python: a virtual environment, or an interpreter, that the nodes are to call in a process
            of its own; by default ComfyUI's Python imports ditflow itself.

    Returns:
        its path.

    Raises:
        DitflowError: there are no `custom_nodes`, or the interpreter has no ditflow.
    """
    nodes = folder if folder.name == "custom_nodes" else folder / "custom_nodes"
    if not nodes.is_dir():
        raise DitflowError(f"folder={folder} has no custom_nodes; give the folder of ComfyUI.")
    text = HERE
    if python is not None:
        interpreter = interpreter_of(python)
        text = ELSEWHERE.format(package=_package_of(interpreter), python=str(interpreter))
    write_text(nodes / NAME, text)
    return nodes / NAME


def interpreter_of(python: Path) -> Path:
    """The interpreter of a virtual environment; one that is given, as it is.

    Raises:
        DitflowError: there is none.
    """
    inside = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    found = python / inside if python.is_dir() else python
    if not found.is_file():
        raise DitflowError(
            f"python={python} is no virtual environment; give its folder, or its Python."
        )
    return found.absolute()  # not resolved: a link is what has the environment's packages


def _package_of(interpreter: Path) -> str:
    """Where an interpreter has ditflow."""
    show = "import json, ditflow.comfyui; print(json.dumps(ditflow.__file__))"
    try:
        done = subprocess.run(
            [interpreter, "-P", "-c", show], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        raise DitflowError(
            f"python={interpreter} cannot import ditflow ({shortened(said, 200)}); install it "
            f"there: {interpreter} -m pip install ditflow."
        ) from error
