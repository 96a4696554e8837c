"""The sky behind an image: world coordinates, background of frames, noise law."""
