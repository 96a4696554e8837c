"""Samplers that guide the reverse diffusion by an estimate of E[x0 | x_t, y]."""
