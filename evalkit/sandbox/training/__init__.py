"""Training of the sandbox's small backbones on rendered identities; `run.train_all` reproduces what is shipped under weights/."""
