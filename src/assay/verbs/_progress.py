"""Whether verbs show their progress."""

quiet = False
"""Set by the command line (``--quiet``, ``--json``)."""
