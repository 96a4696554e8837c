"""Deconvolution: HST images at the resolution of JWST."""
