"""One way to put a run together: `fit` and `predict` for Python, and what commands call."""

from typing import TYPE_CHECKING

from ditflow.utils.lazy import importer

if TYPE_CHECKING:
    from ditflow.assembly.calls import fit, predict, prediction
    from ditflow.assembly.run import Fit, Run

__all__ = ["Fit", "Run", "fit", "predict", "prediction"]

__getattr__ = importer(
    __name__,
    {"Fit": "run", "Run": "run", "fit": "calls", "predict": "calls", "prediction": "calls"},
)
