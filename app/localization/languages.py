"""The languages that people read."""

from enum import StrEnum

from babel import Locale


class Language(StrEnum):
    """A language, by its ISO 639 code. Pages are in English; reports in all of them."""

    ENGLISH = "en"
    FRENCH = "fr"

    @property
    def locale(self) -> Locale:
        """What Babel knows of it."""
        return Locale.parse(self.value)
