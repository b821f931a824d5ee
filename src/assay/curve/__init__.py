"""Room: curve."""
