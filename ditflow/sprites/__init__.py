"""The embedded world: tiny pipelines, really trained, and clips to move them by."""
