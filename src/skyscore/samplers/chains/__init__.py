"""Samplers that run Markov chains on the posterior."""
