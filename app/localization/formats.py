"""Numbers, amounts, shares, dates and durations, as a language writes them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import NumberPattern, parse_pattern
from babel.units import format_unit

from app.localization.catalogues import translations
from app.localization.languages import Language
from app.localization.validity import next_change, note_validity

UNDEFINED = "–"
"""The text of a missing number, in every language: missing is not 0."""
MINUTE, HOUR = 60, 3600
LEAST_WRITTEN = 0.0005
"""A measurement below this is written as 0 in a column."""
PLAIN_FROM, PLAIN_BELOW = 1e-4, 1e7
"""Measurements outside of this range are written with a power of ten."""
CACHED = 8192
"""Size of the cache: Babel takes 10 to 20 µs per number, and a list of neurons has hundreds, of which few differ."""


@dataclass(frozen=True)
class LocaleFormat:
    """Writes values in one language."""

    language: Language

    @cached_property
    def locale(self) -> Locale:
        """Babel's rules of the language."""
        return self.language.locale

    def count(self, value: int) -> str:
        """A whole number with its digits in groups: ``1,234,567``, ``1 234 567``."""
        return _written(value, "#,##0", self.language)

    def score(self, value: float | None) -> str:
        """A score with two decimals: ``−0.12``. Rounded to 0, it has no sign."""
        return UNDEFINED if value is None else _written(round(value, 2) + 0.0, "0.00", self.language)

    def number(self, value: float | None) -> str:
        """A measurement with up to three significant digits: ``0.000123``, ``1.23E8``."""
        if value is None:
            return UNDEFINED
        rounded = _significant(value, 3)
        if rounded and not PLAIN_FROM <= abs(rounded) < PLAIN_BELOW:
            return _written(rounded, "0.##E0", self.language)
        return _written(rounded, "#,##0" if rounded == int(rounded) else "@@#", self.language)

    def aligned(self, value: float) -> str:
        """A measurement that always has three digits, for columns; ``0`` where it is next to nothing."""
        if abs(value) < LEAST_WRITTEN:
            return _written(0, "0", self.language)
        if abs(value) >= 1000:
            return _written(round(value), "#0", self.language)
        return _written(_significant(value, 3), "@@@", self.language)

    def money(self, value: float) -> str:
        """An amount with two decimals, or two significant digits below 1. The currency is the provider's."""
        if value >= 1 or not value:
            return _written(round(value, 2), "#,##0.00", self.language)
        return _written(_significant(value, 2), "@#", self.language)

    def percent(self, value: float | None) -> str:
        """A share as a percentage with one decimal; below 1%, with two significant digits."""
        if value is None:
            return UNDEFINED
        usual = self.locale.percent_formats[None].pattern  # "#,##0%", with a space before the sign in French
        if 0 < value < 0.01:
            return _written(_significant(value, 2), usual.replace("#,##0", "@#"), self.language)
        return _written(round(value, 3), usual.replace("#,##0", "#,##0.0"), self.language)

    def plural(self, n: int, singular: str, several: str | None = None) -> str:
        """A number and what is counted: ``1 neuron``, ``2,000 neurons``.

        The words are English. ``translations(language).ngettext`` has other languages' forms, from their catalogue.
        """
        return f"{self.count(n)} {singular if n == 1 else several or singular + 's'}"

    def ago(self, moment: datetime) -> str:
        """How long ago an aware ``moment`` was, in one unit: ``2 hours ago``, ``il y a 2 heures``."""
        seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
        minutes = int(seconds) // MINUTE
        if not minutes:
            note_validity(MINUTE - seconds)
            return translations(self.language).gettext("just now")
        note_validity(next_change(minutes * MINUTE) - seconds)
        return _age(minutes, self.language)

    def timestamp(self, moment: datetime) -> str:
        """An aware moment to the second, in UTC and in ISO's order, as records are compared by it."""
        return f"{format_datetime(moment, 'yyyy-MM-dd HH:mm:ss', tzinfo=UTC, locale=self.locale)} UTC"

    def date(self, day: date) -> str:
        """A day in words: ``November 26, 2026``, ``26 novembre 2026``."""
        return format_date(day, "long", locale=self.locale)

    def duration(self, seconds: float) -> str:
        """A length of time in its two largest units up to hours: ``35 sec``, ``2 min 5 sec``, ``25 hr 0 min``."""
        whole = int(seconds)
        if whole < MINUTE:
            return self._unit(whole, "second")
        if whole < HOUR:
            return f"{self._unit(whole // MINUTE, 'minute')} {self._unit(whole % MINUTE, 'second')}"
        return f"{self._unit(whole // HOUR, 'hour')} {self._unit(whole % HOUR // MINUTE, 'minute')}"

    def bytes(self, value: int) -> str:
        """A size in the largest decimal unit that leaves one before the point: ``512 byte``, ``2.5 MB``, ``14 GB``."""
        for exponent, unit in ((9, "gigabyte"), (6, "megabyte"), (3, "kilobyte")):
            if value >= 10**exponent:
                return self._unit(_significant(value / 10**exponent, 2), unit, "digital")
        return self._unit(value, "byte", "digital")

    def took(self, seconds: float | None) -> str:
        """A length of time that may be well below a second: ``250 ms``, ``1.5 sec``."""
        if seconds is None:
            return UNDEFINED
        if seconds < 1:
            return self._unit(round(seconds * 1000), "millisecond")
        return self._unit(round(seconds, 1), "second") if seconds < MINUTE else self.duration(seconds)

    def _unit(self, value: float, unit: str, kind: str = "duration") -> str:
        return _with_unit(value, f"{kind}-{unit}", self.language)


ENGLISH = LocaleFormat(Language.ENGLISH)


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


@lru_cache(CACHED)
def _written(value: float, pattern: str, language: Language) -> str:
    """The value by a pattern of Unicode's number formats, with a real minus sign, which CLDR has in few languages."""
    return str(_parsed(pattern).apply(value, language.locale)).replace("-", "−")


@lru_cache(CACHED)
def _with_unit(value: float, unit: str, language: Language) -> str:
    return format_unit(value, unit, "short", locale=language.locale)


@lru_cache(CACHED)
def _age(minutes: int, language: Language) -> str:
    return format_timedelta(timedelta(minutes=-minutes), threshold=1, add_direction=True, locale=language.locale)


@lru_cache
def _parsed(pattern: str) -> NumberPattern:
    return parse_pattern(pattern)
