"""Loaders: official layouts on disk or on the hub, to cases."""
