"""Pure functions on poses, points and images; numpy arrays and torch tensors alike."""
