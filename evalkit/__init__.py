"""evalkit: is this personalised generator better, by how much, and can I believe it?"""

__version__ = "0.1.0"
