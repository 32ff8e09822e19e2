"""Worked examples: an objective, a backbone, and the reuse of a motion, of one's own."""
