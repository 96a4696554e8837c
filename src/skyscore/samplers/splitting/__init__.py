"""Samplers that alternate between a data step and a prior step."""
