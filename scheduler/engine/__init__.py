"""The engine process, and the daemon's handle on it."""
