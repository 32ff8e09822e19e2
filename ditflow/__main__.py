"""`ditflow` and `python -m ditflow`: what a signal meets before anything else is imported."""

from ditflow.utils.stopping import end_at_signals


def run() -> None:
    """Entry point of the `ditflow` script."""
    end_at_signals()
    from ditflow.cli import run as run_command

    run_command()


if __name__ == "__main__":
    run()
