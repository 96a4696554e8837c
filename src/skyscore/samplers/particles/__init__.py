"""Samplers that carry weighted particles and resample them."""
