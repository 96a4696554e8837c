"""Deconvolution: HST images reconstructed at the resolution of JWST."""
