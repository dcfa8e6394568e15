"""Everything that measures. Not installed; run from the repository's root."""
