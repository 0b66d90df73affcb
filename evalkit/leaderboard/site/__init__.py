"""The static site: from scored runs to plain files that open from disk and from any host."""
