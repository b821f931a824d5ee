"""Base models: found by name, loaded whole or with an adapter, merged, given a longer vocabulary."""
