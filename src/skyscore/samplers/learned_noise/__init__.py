"""Samplers for a learned noise, whose likelihood has a score and no density."""
