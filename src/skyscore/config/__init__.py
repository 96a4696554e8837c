"""The configuration: what it may hold, checked and completed with defaults. Needs no torch."""
