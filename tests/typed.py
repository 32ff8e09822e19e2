"""Commands as a user types them, run by tests: what they say, and nothing of how."""

from typing import Any

import pytest
import yaml

from ditflow.cli import main


def fails(capsys, *args) -> str:
    """Run a command that must fail; returns the one line it says."""
    assert main(list(args)) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("ditflow: error: ")]
    assert len(errors) == 1
    assert "Traceback" not in captured.err
    return errors[0]


def printed_config(capsys, *args) -> dict[str, Any]:
    """The settings that a fit or predict would have."""
    with pytest.raises(SystemExit) as exited:
        main([*args, "--print_config"])
    assert exited.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)
