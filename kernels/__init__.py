"""Kernels: the C++ step library, and the compiled models that are made of its steps."""
