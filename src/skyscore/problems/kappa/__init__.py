"""Weak lensing: convergence from the shapes of galaxies."""
