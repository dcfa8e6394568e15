"""Clients of a running daemon: the Python client and the command line."""
