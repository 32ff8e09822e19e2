"""Argument parsers whose errors are one line."""

from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from ditflow.errors import DitflowError, shortened


class OneLineErrors:
    """Mixed into a parser: what is wrong is raised as `DitflowError`, in one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        # `--conf` would go past what looks for `--config` before the parser.
        super().__init__(*args, **{"allow_abbrev": False} | kwargs)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse_args(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            # The parser's own, over values that it did not expect where they are.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DitflowError(
                f"an option or a setting has a value of a wrong type ({shortened(reason, 200)})."
            ) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip() for line in str(message).splitlines() if line.strip()]
        raise DitflowError(shortened(" ".join(lines), 2000))


class CommandParser(OneLineErrors, ArgumentParser):
    """Of the commands that are not LightningCLI's."""

    def add_presets(self) -> None:
        """Add `--config`: presets, at once or by repeating it; None if none is given."""
        self.add_argument(
            *("-c", "--config"), type=str, nargs="+", action="extend", help="Presets, stacked."
        )
