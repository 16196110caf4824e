"""The kinds of authors of an explanation."""

from enum import StrEnum


class AuthorKind(StrEnum):
    """Where an explanation's text comes from."""

    METHOD = "method"
    """A run of a method."""
    IMPORT = "import"
    PERSON = "person"
