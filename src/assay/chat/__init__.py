"""Talk to models: in the terminal, through OpenAI's protocol on loopback, and on a page."""

from assay.chat._terminal import Voice, answer_piped, check_temperature, converse

__all__ = ["Voice", "answer_piped", "check_temperature", "converse"]
