"""Radio interferometry: images from visibilities."""
