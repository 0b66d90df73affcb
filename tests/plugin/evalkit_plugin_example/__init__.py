"""A plugin of evalkit: a metric, the extractor family whose features it reads, a benchmark and a method."""
