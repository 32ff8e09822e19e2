"""What of this machine works, and what to do about what does not."""

from ditflow.doctor.finding import Finding

__all__ = ["Finding"]
