"""Strong lensing: reconstruction of the galaxy behind a gravitational lens."""
