"""Where a run's work is planned and executed."""
