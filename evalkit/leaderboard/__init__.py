"""What others report, as data, and what its arithmetic says."""
