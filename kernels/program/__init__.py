"""The compiled model: on disk, in memory, and ready to run."""
