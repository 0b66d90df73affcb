"""The small Wan2.1-VACE of the embedded world: its autoencoder, its clips, its pipeline and its sampler."""
