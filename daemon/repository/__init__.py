"""The model repository: what lies in folders, what is compiled, what is loaded."""
