"""Weak lensing: maps of the convergence from galaxy shapes."""
