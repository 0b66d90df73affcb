"""DivRL: FLUX.1-Kontext made more varied by policy optimisation, without losing the subject."""
