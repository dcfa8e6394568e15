"""`coexec demo`: several pruned networks served by one daemon, measured and checked."""
