"""Benchmarks: scripts that print a table, each with the plain way or a peer beside ours in one run."""
