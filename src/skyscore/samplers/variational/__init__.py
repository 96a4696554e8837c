"""Samplers that fit a law to the posterior."""
