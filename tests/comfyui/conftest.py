"""A folder that is ComfyUI's, with what nodes use of its modules."""

import sys
from pathlib import Path

import pytest

MODULES = {
    "folder_paths.py": """
        from pathlib import Path
        base_path = Path(__file__).parent
        models_dir = str(base_path / "models")
        folder_names_and_paths = {"ditflow": ([str(base_path / "shared")], set())}
        def get_temp_directory(): return str(base_path / "temp")
    """,
    "comfy/__init__.py": "",
    "comfy/model_management.py": """
        unloaded, stop_at = 0, None
        class InterruptProcessingException(BaseException): pass
        def unload_all_models(): global unloaded; unloaded += 1
        def soft_empty_cache(): pass
        def throw_exception_if_processing_interrupted():
            from comfy.utils import shown
            if stop_at is not None and len(shown) >= stop_at:
                raise InterruptProcessingException()
    """,
    "comfy/utils.py": """
        shown = []
        class ProgressBar:
            def __init__(self, total): pass
            def update_absolute(self, value, total): shown.append(value / total)
    """,
}
"""As small as what is used of them: no code of ComfyUI's."""


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        lines = text.splitlines()
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in lines))
    (tmp_path / "custom_nodes").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("folder_paths", "comfy", "comfy.model_management", "comfy.utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("folder_paths", "comfy", "comfy.model_management", "comfy.utils"):
        sys.modules.pop(name, None)
