"""What reports and pages say of numbers: captions in words, and tables."""
