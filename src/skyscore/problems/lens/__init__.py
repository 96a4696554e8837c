"""Strong lensing: the galaxy behind a gravitational lens."""
