"""Classical reconstructions for comparison with the posteriors: each is a function of the data alone, one per file."""
