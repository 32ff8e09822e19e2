"""What a run leaves in its folder, and how one goes on."""
