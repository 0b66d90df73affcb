"""What policy-gradient trainers of flow models share: transitions with log-probabilities, group advantages."""
