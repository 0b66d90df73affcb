"""Everything that makes samples."""
