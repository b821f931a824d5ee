"""Add tokens to a base model."""

from assay.jobs._vocabulary import Extended, extend

__all__ = ["Extended", "extend"]
