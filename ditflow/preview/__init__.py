"""What a fit would be guided by, without fitting: motion flows, how sure they are, and warnings."""

from ditflow.preview.command import preview

__all__ = ["preview"]
