"""Samplers that alternate between the data and the prior."""
