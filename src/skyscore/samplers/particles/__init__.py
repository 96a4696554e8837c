"""Samplers with weighted, resampled particles."""
