"""Nodes whose work another Python does, in a process of its own for each: for a ComfyUI in whose
environment ditflow's packages cannot be.

ComfyUI's Python imports this file, and nothing of ditflow's requirements.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from ditflow.comfyui import host
from ditflow.comfyui.values import packed, unpacked
from ditflow.errors import DitflowError

LOOK_EVERY = 0.5
"""Seconds between two looks at the stop button, while the process says nothing."""


@dataclass(frozen=True)
class Promise:
    """What the other process makes of a mapping: a motion's file, or a backbone's call, which is
    carried out by each process that needs it."""

    of: dict[str, Any]


class RemoteNode:
    """A node; each subclass is one of ditflow's, described by the process.

    Attributes:
        node: its name.
        python: the interpreter.
        inputs: as INPUT_TYPES gives them.
    """

    FUNCTION = "run"
    node: str
    python: str
    inputs: dict[str, dict[str, list[Any]]]
    RETURN_TYPES: tuple[str, ...]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[Any, ...]]]:
        given = {
            section: {name: tuple(each) for name, each in inputs.items()}
            for section, inputs in cls.inputs.items()
        }
        if host.FILE in cls.inputs["required"]:  # there may be others by now
            given["required"][host.FILE] = (
                host.motion_files(),
                *cls.inputs["required"][host.FILE][1:],
            )
        return given

    @classmethod
    def IS_CHANGED(cls, **given: Any) -> str:
        return host.stamp(given[host.FILE]) if host.FILE in given else ""

    def run(self, **given: Any) -> tuple[Any, ...]:
        """What the node gives.

        Raises:
            DitflowError: what the other process says is wrong.
        """
        folder = host.temporary_folder()
        try:
            inputs = {name: packed(value, folder, _promised) for name, value in given.items()}
            call = {"node": self.node, "inputs": inputs}
            if self.RETURN_TYPES == ("DITFLOW_BACKBONE",):
                return (Promise({"call": call}),)
            if "backbone" in given:
                host.make_room()
            (folder / "call.json").write_text(json.dumps(call), encoding="utf-8")
            outputs = answer(self.python, [str(folder)], host.progress())
            return tuple(unpacked(output, Promise) for output in outputs)
        finally:
            for path in folder.glob("*.npy"):  # a motion's file stays
                path.unlink()


def node_mappings(python: str) -> tuple[dict[str, type], dict[str, str]]:
    """NODE_CLASS_MAPPINGS and NODE_DISPLAY_NAME_MAPPINGS of nodes that call an interpreter.

    Raises:
        DitflowError: it has no ditflow.
    """
    classes, titles = {}, {}
    for name, said in answer(python, [], lambda done, total: None).items():
        titles[name] = said.pop("title")
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in said.items()}
        classes[name] = type(name, (RemoteNode,), values | {"node": name, "python": python})
    return classes, titles


def answer(python: str, args: list[str], show: host.Show) -> Any:
    """What `ditflow.comfyui.worker` results in.

    Args:
        python: the interpreter.
        args: of the worker.
        show: takes how far it is; what it raises ends the process.

    Raises:
        DitflowError: what the process says is wrong, or that it ended.
    """
    # Not the folder it is started in, which is ComfyUI's, before its own packages: -P.
    command = [python, "-P", "-m", "ditflow.comfyui.worker", *args]
    folders = os.pathsep.join(map(str, host.motion_folders()))
    lines: SimpleQueue[str] = SimpleQueue()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {host.FOLDERS: folders},
    )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    reader = Thread(target=read, daemon=True)
    reader.start()
    done, total = 0, 1
    try:
        while True:
            try:
                line = lines.get(timeout=LOOK_EVERY)
            except Empty:
                show(done, total)
                continue
            if not line:
                raise DitflowError(
                    f"python={python} ended with status {process.wait()}; its last words are on "
                    "ComfyUI's console."
                )
            said = json.loads(line)
            if "error" in said:
                raise DitflowError(said["error"])
            if "result" in said:
                return said["result"]
            done, total = said["done"], said["of"]
            show(done, total)
    finally:
        process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def _promised(value: Promise) -> dict[str, Any]:
    return value.of
