"""Samplers for learned noise, whose likelihood has a score but no density."""
