"""What servers of pages share: who may come in, where they listen, in which language they speak."""

from assay.view import LANGUAGES
from assay.web._form import THEMES, Posted, chosen_look
from assay.web._guard import HEADERS, MAX_BYTES, Guard, allowed_hosts, is_loopback
from assay.web._languages import preferred, site_words
from assay.web._serve import address, bind, local, run, warn
from assay.web._static import static

__all__ = [
    "HEADERS",
    "LANGUAGES",
    "MAX_BYTES",
    "THEMES",
    "Guard",
    "Posted",
    "address",
    "allowed_hosts",
    "bind",
    "chosen_look",
    "is_loopback",
    "local",
    "preferred",
    "run",
    "site_words",
    "static",
    "warn",
]
