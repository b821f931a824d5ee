"""Assay: how much instruction data, which of it, and what the next thousand examples would buy."""

__version__ = "0.1.0"
