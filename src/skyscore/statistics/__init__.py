"""Statistics of images: power spectra, cosine modes, moments."""
