"""A plugin of evalkit: one metric, and the extractor family whose features it reads."""
