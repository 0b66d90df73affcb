"""Pure functions on features, and the registered metrics around them."""
