"""Is the posterior right? Exact benchmarks, PQMass, residuals."""
