"""The run folder: what a run is, what it made, and how it goes on after any interruption."""
