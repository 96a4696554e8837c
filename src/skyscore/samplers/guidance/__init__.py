"""Samplers that guide the reverse diffusion with an estimate of E[x0 | x_t, y]."""
