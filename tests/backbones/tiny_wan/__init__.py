"""A family of another architecture and another solver than CogVideoX's: Wan, tiny and untrained."""
