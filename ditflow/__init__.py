"""ditflow: motion transfer for video diffusion transformers, with no training of the model."""
