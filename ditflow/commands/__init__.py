"""The commands, one a file, as `ditflow --help` lists them."""
