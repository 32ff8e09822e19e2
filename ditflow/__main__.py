"""`python -m ditflow`: the command line where its script is not on the PATH."""

from ditflow.cli import run

run()
