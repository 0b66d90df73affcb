"""The embedded world: a renderer with known truth, small models trained on it, and benchmarks made of it."""
