"""Simulators: the embedded data of the default run."""
