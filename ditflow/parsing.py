"""Argument parsers whose errors are one line."""

from typing import NoReturn

from jsonargparse import ArgumentParser

from ditflow.errors import DitflowError


class OneLineErrors:
    """Mixed into a parser: what is wrong is raised as `DitflowError`, in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip() for line in str(message).splitlines() if line.strip()]
        raise DitflowError(" ".join(lines))


class CommandParser(OneLineErrors, ArgumentParser):
    """Of the commands that are not LightningCLI's."""
