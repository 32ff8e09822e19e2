"""What a run will need, from shapes alone: no weights are loaded and nothing is computed."""

from ditflow.plan.phases import Phase, phases

__all__ = ["Phase", "phases"]
