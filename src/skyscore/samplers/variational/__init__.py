"""Samplers that fit a parametric distribution to the posterior."""
