"""The engine, the policies that drive it, and the planner that finds what models share."""
