"""A blinded study of people's ratings of a benchmark's videos, as the paper's Figure 6."""
