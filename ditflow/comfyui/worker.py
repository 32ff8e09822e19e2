"""A node's work in a process of its own: `python -m ditflow.comfyui.worker FOLDER`.

The folder has `call.json`: the node's name, and its inputs as `values` packs them. Each line that
is printed is a JSON object, of how far it is (`done`, `of`), the `result`, or the `error`. Without
a folder what is printed is what the nodes are. The process ends when its input does.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from threading import Thread
from typing import Any, TextIO
from uuid import uuid4

from ditflow.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from ditflow.comfyui.values import packed, unpacked
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.utils.failures import failure

DESCRIBED = ("RETURN_TYPES", "RETURN_NAMES", "OUTPUT_IS_LIST", "OUTPUT_NODE", "CATEGORY")
"""Of a node's class, what ComfyUI asks beside its inputs."""


def described() -> dict[str, Any]:
    """Every node by name: its title, its docstring, its inputs, and what of `DESCRIBED` it has."""
    return {
        name: {
            "title": NODE_DISPLAY_NAME_MAPPINGS[name],
            "DESCRIPTION": node.DESCRIPTION,
            "inputs": node.INPUT_TYPES(),
            **{each: getattr(node, each) for each in DESCRIBED if hasattr(node, each)},
        }
        for name, node in NODE_CLASS_MAPPINGS.items()
    }


def carried_out(call: dict[str, Any], folder: Path, tell: Callable[..., None]) -> list[Any]:
    """The outputs of a call, packed.

    Args:
        call: the node's name, and its inputs; one may be the call that makes it.
        folder: of their files.
        tell: takes how far it is, as `done` and `of`.

    Raises:
        DitflowError: as the node does.
    """

    def show(done: int, total: int) -> None:
        tell(done=done, of=total)

    def run(call: dict[str, Any]) -> tuple[Any, ...]:
        inputs = {name: unpacked(value, given) for name, value in call["inputs"].items()}
        return NODE_CLASS_MAPPINGS[call["node"]](lambda: show).run(**inputs)

    def given(value: dict[str, Any]) -> Any:
        if "call" in value:
            return run(value["call"])[0]
        return MotionEmbedding.load(value["motion"])

    def kept(value: MotionEmbedding) -> dict[str, Any]:
        path = folder / f"{uuid4().hex}.safetensors"
        value.save(path)
        return {"motion": str(path)}

    return [packed(each, folder, kept) for each in run(call)]


def main() -> None:
    """Carry out the call in the folder that is named, or say what nodes there are."""
    out = sys.stdout
    Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()

    def tell(**said: Any) -> None:
        print(json.dumps(said), file=out, flush=True)

    logging.basicConfig(format="%(message)s")
    logging.getLogger("ditflow").setLevel(logging.INFO)
    with redirect_stdout(sys.stderr):  # whatever a library prints is none of this
        try:
            if not sys.argv[1:]:
                return tell(result=described())
            folder = Path(sys.argv[1])
            call = json.loads((folder / "call.json").read_text(encoding="utf-8"))
            tell(result=carried_out(call, folder, tell))
        except Exception as error:
            if (said := failure(error)) is None:
                traceback.print_exc()
                said = f"{type(error).__name__}: {error}"
            tell(error=said)


def _end_with(parent: TextIO) -> None:
    """End this process when the one that gives it its input has ended."""
    parent.read()
    os._exit(1)


if __name__ == "__main__":
    main()
