"""People in the loop: pages to correct golden answers and types and to give scores, and what came of it.

Labels live in a database (SQLite, or PostgreSQL by URL) as an append-only history, committed before a page is
answered.
"""

from assay.annotation._app import build_app
from assay.annotation._diff import Part, difference
from assay.annotation._export import (
    Agreement,
    AnnotationExport,
    AnnotationStatus,
    AnnotatorStatus,
    agreement,
    export,
    status,
    write_labels,
)
from assay.annotation._pages import Scale
from assay.annotation._read import Found, read_items
from assay.annotation._serve import default_database, open_annotation, serve
from assay.annotation._store import Login, Store
from assay.annotation._tokens import Tokens
from assay.annotation._values import (
    Conflict,
    Draft,
    Event,
    Form,
    HumanLabel,
    Item,
    Label,
    Standing,
    Task,
)

__all__ = [
    "Agreement",
    "AnnotationExport",
    "AnnotationStatus",
    "AnnotatorStatus",
    "Conflict",
    "Draft",
    "Event",
    "Form",
    "Found",
    "HumanLabel",
    "Item",
    "Label",
    "Login",
    "Part",
    "Scale",
    "Standing",
    "Store",
    "Task",
    "Tokens",
    "agreement",
    "build_app",
    "default_database",
    "difference",
    "export",
    "open_annotation",
    "read_items",
    "serve",
    "status",
    "write_labels",
]
