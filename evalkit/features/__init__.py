"""Backbones, each run once per picture: contract, weights, extraction plan, cache."""
