"""Classical reconstructions, to compare the posteriors with: each a function of the data alone, one method per file."""
