"""Pages of runs: one `index.html` in an output folder, readable without server and network."""
