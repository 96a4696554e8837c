"""Markov chains on the posterior."""
