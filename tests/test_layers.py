"""Imports point one way: to lower layers, or inside one's own room."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "ditflow"

LAYERS = [
    "errors version",
    "functional utils",
    "backbones video runs",
    "objectives metrics embedding",
    "sampling",
    "reference denoising learning_rates",
    "data",
    "callbacks",
    "module",
    "settings",
    "plan",
    "assembly",
    "preview benchmark",
    "pages sprites examples doctor",
    "rating app comfyui",
    "commands",
    "cli",
    "__main__",
]
"""Rooms, files and folders of the package, from the lowest layer up."""

LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms.split()}


def test_every_file_is_in_a_room_with_a_layer():
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in files(PACKAGE)}
    assert rooms - {"__init__"} <= set(LAYER)


def test_imports_point_down():
    assert list(wrong_imports(PACKAGE)) == []


def test_a_turned_import_is_found(tmp_path):
    package = tmp_path / "ditflow"
    (package / "video").mkdir(parents=True)
    (package / "functional").mkdir()
    (package / "commands").mkdir()
    (package / "video" / "reading.py").write_text("from ditflow.video.sizing import fit_size\n")
    (package / "functional" / "flow.py").write_text("from ditflow.errors import DitflowError\n")
    (package / "commands" / "fit.py").write_text("import ditflow.commands.predict\n")
    (package / "data.py").write_text("def f():\n    from ditflow.module import MotionTransfer\n")
    found = list(wrong_imports(package))
    assert found == [
        "commands/fit.py:1 imports another command, ditflow.commands.predict",
        "data.py:2 imports ditflow.module, which is not below it",
        "functional/flow.py:1 imports ditflow.errors, but functional/ is of tensors alone",
    ]


def test_no_files_import_each_other_in_a_circle():
    assert circle(PACKAGE) is None


def test_a_circle_is_found(tmp_path):
    package = tmp_path / "ditflow"
    (package / "video").mkdir(parents=True)
    (package / "video" / "__init__.py").write_text("from ditflow.video.reading import read\n")
    (package / "video" / "reading.py").write_text(
        "if TYPE_CHECKING:\n    from ditflow.video import sizing\n"
    )
    (package / "video" / "sizing.py").write_text("import ditflow.errors\n")
    (package / "errors.py").write_text("")
    assert circle(package) == ["video/__init__.py", "video/reading.py", "video/__init__.py"]
    (package / "video" / "__init__.py").write_text("")
    assert circle(package) is None
    (package / "video" / "sizing.py").write_text(
        "def f():\n    from ditflow.video.reading import read\n"
    )
    assert circle(package) == ["video/reading.py", "video/sizing.py", "video/reading.py"]


def circle(package: Path) -> list[str] | None:
    """Files that import each other, the first again at the end; those inside functions and for
    types count too."""
    edges = {path: list(imported_files(path, package)) for path in files(package)}
    done: set[Path] = set()

    def walk(trail: list[Path]) -> list[Path] | None:
        path = trail[-1]
        if path in trail[:-1]:
            return trail[trail.index(path) :]
        if path in done:
            return None
        found = next(filter(None, (walk([*trail, to]) for to in edges.get(path, ()))), None)
        done.add(path)
        return found

    found = next(filter(None, (walk([path]) for path in edges)), None)
    return found and [path.relative_to(package).as_posix() for path in found]


def imported_files(path: Path, package: Path) -> Iterator[Path]:
    """Files of ours that a file imports: of a module, and of a package by what it names of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            place = package.parent / name.replace(".", "/")
            found = [place.with_suffix(".py"), place / "__init__.py"]
            yield from (file for file in found if package in file.parents and file.is_file())


def wrong_imports(package: Path) -> Iterator[str]:
    """Each import that does not point down; those inside functions and for types count too."""
    for path in files(package):
        place = path.relative_to(package)
        room = place.with_suffix("").parts[0]
        for line, imported in imports(path):
            target = imported.split(".")[1] if "." in imported else ""
            where = f"{place}:{line} imports"
            if room == "functional" and target != "functional":
                yield f"{where} {imported}, but functional/ is of tensors alone"
            elif target == "":
                if room != "examples":  # which shows the public face
                    yield f"{where} from ditflow itself; name the file"
            elif target == room:
                if room == "commands" and imported != "ditflow.commands.table":
                    yield f"{where} another command, {imported}"
            elif LAYER[target] >= LAYER[room]:
                yield f"{where} {imported}, which is not below it"


def files(package: Path) -> list[Path]:
    """All but the lazy maps, which import on first use and are written so that circles are cut."""
    found = sorted(package.rglob("*.py"))
    lazy = [
        path for path in found if path.name == "__init__.py" and "importer(" in path.read_text()
    ]
    return [path for path in found if path not in lazy]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import of ours in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is relative"
            names = [node.module or ""]
            if node.module == "ditflow.commands":  # a command by its name
                names = [f"ditflow.commands.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "ditflow")
