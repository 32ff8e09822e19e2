"""`ditflow comfyui`: motion transfer as nodes of ComfyUI."""

from pathlib import Path

from ditflow.comfyui.install import WORKFLOWS, write_nodes


def install(folder: Path, *, python: Path | None = None) -> None:
    """Write the one file by which ComfyUI finds ditflow's nodes, into its custom_nodes.

    Without --python, ComfyUI's own Python must have ditflow. With it, the nodes call another one in
    a process of its own, and ComfyUI's needs nothing that it has not: for environments that cannot
    hold both. Start ComfyUI again afterwards.

    Args:
        folder: ComfyUI's own.
        python: A virtual environment that has ditflow, or its Python.
    """
    print(f"Wrote {write_nodes(folder, python)}.\nStart ComfyUI again for the nodes to appear.")
    print("Examples, to be dropped onto its page:")
    for path in sorted(WORKFLOWS.glob("*.json")):
        print(f"  {path}")
