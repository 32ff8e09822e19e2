import random

import pytest

from ditflow.cli import main
from ditflow.errors import DitflowError
from ditflow.settings.stacked import read_settings
from ditflow.utils.shipped import shipped_files
from ditflow.utils.untrusted import MOST_VALUES, MOST_YAML_BYTES, read_mapping
from tests.mutation import mutated

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{own}: &{own} [{', '.join([f'*{below}'] * 9)}]"
    for below, own in zip("abcdefgh", "bcdefghi", strict=True)
)

HOSTILE = {
    "bomb": (BOMB, "aliases written out"),
    "cycle": ("model: &a [*a]", "alias \\*a"),
    "no such alias": ("model: *a", "alias \\*a"),
    "deep": ("model: " + "[" * 200_000, "nested deeper"),
    "deep and closed": ("model: " + "[" * 60 + "]" * 60, "nested deeper"),
    "deep mapping": ("\n".join(" " * depth + "a:" for depth in range(60)), "nested deeper"),
    "long": ("model: [" + "0," * MOST_VALUES + "0]", "more than 50000 values"),
    "large": ("# " + "x" * MOST_YAML_BYTES, "larger than 1 MiB"),
    "code": ("model: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
    "date": ("model: {seed: 2020-99-99}", "cannot be read as YAML"),
    "empty number": ('model: !!int ""', "cannot be read as YAML"),
    "no truth": ("model: !!bool x", "cannot be read as YAML"),
    "no time": ("model: !!timestamp x", "cannot be read as YAML"),
    "control characters": ("model: \x1b[31m", "cannot be read"),
    "several documents": ("a: 1\n---\nb: 2", "cannot be read as YAML"),
    "text": ("hello", "no settings by name"),
    "list": ("[1, 2]", "no settings by name"),
    "empty": ("", "no settings by name"),
    "numbered": ("1: 2", "no settings by name"),
    "unhashable name": ("? [a]\n: 1", "cannot be read as YAML"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_is_refused_in_a_line(kind, tmp_path):
    text, expected = HOSTILE[kind]
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DitflowError, match=expected) as refused:
        read_mapping(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \xc3\x28"])
def test_what_is_no_text_is_refused(content, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(DitflowError, match="cannot be read as text"):
        read_mapping(path)


def test_aliases_are_fine_where_they_are_few(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}")
    assert read_mapping(path) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize("command", ["fit", "benchmark", "plan"])
@pytest.mark.parametrize("kind", ["bomb", "deep", "control characters"])
def test_every_command_refuses_them_before_its_parser(command, kind, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(HOSTILE[kind][0], encoding="utf-8")
    extra = [] if command == "plan" else ["--output", str(tmp_path / "out")]
    assert main([command, "--config", str(path), *extra]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ditflow: error: config=")
    assert said.count("\n") == 1
    assert said.strip().isprintable()
    assert not (tmp_path / "out").exists()


def test_mutated_presets_are_read_or_refused(tmp_path):
    chance, path = random.Random(0), tmp_path / "config.yaml"
    presets = [path.read_bytes() for path in shipped_files("presets").values()]
    refusals = []
    for _ in range(300):
        path.write_bytes(mutated(chance.choice(presets), chance))
        try:
            read = read_mapping(path)
        except DitflowError as error:
            refusals.append(str(error))
        else:
            assert isinstance(read, dict)
    assert 30 < len(refusals) < 270
    assert not any("\n" in refusal for refusal in refusals)


ODD = [None, True, -1, 10**30, float("nan"), "", "x" * 5000, [], {}, [None], {1: 2}, b"x"]
NAMES = ["seed", "block", "target", "objective", "learning_rates", "guided_share", "backbone"]


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_a_wrong_type_are_refused_in_a_line(name):
    refusals = []
    for value in ODD:
        try:
            read_settings("sprites-rope", {"model": {name: value}})
        except DitflowError as error:
            refusals.append(str(error))
    assert len(refusals) >= len(ODD) // 2
    assert all("config=" in refusal or name in refusal for refusal in refusals)
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("settings", [{"model": 3}, {"data": []}, {"model": {"backbone": b""}}])
def test_sections_hold_settings(settings):
    with pytest.raises(DitflowError, match="must hold settings by name"):
        read_settings("sprites-rope", settings)


@pytest.mark.parametrize("preset", [None, 3, ["sprites-rope"]])
def test_a_preset_is_a_name_or_settings(preset):
    with pytest.raises(DitflowError, match="neither a preset nor settings"):
        read_settings("sprites-rope", preset)


@pytest.mark.parametrize("command", ["fit", "benchmark"])
def test_a_configuration_names_no_other(command, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text("config: sprites-rope")
    assert main([command, "--config", str(path), "--output", str(tmp_path / "out")]) == 2
    assert "names another; use --config for each" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "benchmark", "plan"])
def test_options_are_not_abbreviated(command, tmp_path, capsys):
    """For what goes by another name than `--config` is not looked at before the parser."""
    path = tmp_path / "config.yaml"
    path.write_text(BOMB)
    assert main([command, "--conf", str(path), "--output", str(tmp_path / "out")]) == 2
    assert "conf" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
