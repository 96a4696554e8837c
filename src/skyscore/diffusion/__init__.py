"""Diffusion: noise levels and steps, preconditioning, network, training."""
