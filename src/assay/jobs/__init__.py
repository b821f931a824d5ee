"""Single jobs on a person's samples, in memory or in files: each reads, does one thing, and says what it did.

Files are written, with receipts, where they are asked for.  What trains, answers or measures goes through the
steps and the store of :mod:`assay.study`.  The catalogue of these functions is :mod:`assay` itself.
"""
