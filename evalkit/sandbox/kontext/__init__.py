"""The small FLUX.1-Kontext of the embedded world: its autoencoder, its text side, its pipeline and its sampler."""
