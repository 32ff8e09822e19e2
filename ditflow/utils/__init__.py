"""Files, hashes, caches, strangers' text: what two or more rooms use."""
