"""What of this machine works, and what to do about what does not."""
