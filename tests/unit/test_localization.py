"""What values look like in each language, and that the catalogues are whole."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from app.localization.catalogues import FOLDER, translations
from app.localization.formats import ENGLISH, LocaleFormat
from app.localization.languages import Language

ROOT = Path(__file__).parents[2]
FRENCH = LocaleFormat(Language.FRENCH)
NARROW, WIDE = "\u202f", "\xa0"
"""French groups digits by a narrow space and sets units after a wide one, neither of which breaks a line."""


@pytest.mark.parametrize(
    ("write", "value", "english", "french"),
    [
        (LocaleFormat.count, 0, "0", "0"),
        (LocaleFormat.count, 1234567, "1,234,567", f"1{NARROW}234{NARROW}567"),
        (LocaleFormat.count, -1200, "−1,200", f"−1{NARROW}200"),
        (LocaleFormat.score, None, "–", "–"),
        (LocaleFormat.score, -0.123, "−0.12", "−0,12"),
        (LocaleFormat.score, -0.001, "0.00", "0,00"),
        (LocaleFormat.score, 1.0, "1.00", "1,00"),
        (LocaleFormat.number, None, "–", "–"),
        (LocaleFormat.number, 0.0, "0", "0"),
        (LocaleFormat.number, 0.000123456, "0.000123", "0,000123"),
        (LocaleFormat.number, -12.345, "−12.3", "−12,3"),
        (LocaleFormat.number, 12345.6, "12,300", f"12{NARROW}300"),
        (LocaleFormat.number, 1.23456e8, "1.23E8", "1,23E8"),
        (LocaleFormat.number, 1.5e-9, "1.5E−9", "1,5E−9"),
        (LocaleFormat.aligned, 3.2, "3.20", "3,20"),
        (LocaleFormat.aligned, -1.79e-7, "0", "0"),
        (LocaleFormat.aligned, 12345.6, "12346", "12346"),
        (LocaleFormat.aligned, 999.9, "1000", "1000"),
        (LocaleFormat.money, 0, "0.00", "0,00"),
        (LocaleFormat.money, 1234.5, "1,234.50", f"1{NARROW}234,50"),
        (LocaleFormat.money, 0.000123, "0.00012", "0,00012"),
        (LocaleFormat.percent, None, "–", "–"),
        (LocaleFormat.percent, 0, "0.0%", f"0,0{WIDE}%"),
        (LocaleFormat.percent, 0.5, "50.0%", f"50,0{WIDE}%"),
        (LocaleFormat.percent, 0.00123, "0.12%", f"0,12{WIDE}%"),
        (LocaleFormat.percent, 1, "100.0%", f"100,0{WIDE}%"),
        (LocaleFormat.duration, 35, "35 sec", f"35{NARROW}s"),
        (LocaleFormat.duration, 125, "2 min 5 sec", f"2{WIDE}min 5{NARROW}s"),
        (LocaleFormat.duration, 90000, "25 hr 0 min", f"25{NARROW}h 0{WIDE}min"),
        (LocaleFormat.bytes, 0, "0 byte", f"0{NARROW}o"),
        (LocaleFormat.bytes, 2_540_000, "2.5 MB", f"2,5{NARROW}Mo"),
        (LocaleFormat.bytes, 14_300_000_000, "14 GB", f"14{NARROW}Go"),
        (LocaleFormat.took, None, "–", "–"),
        (LocaleFormat.took, 0.25, "250 ms", f"250{NARROW}ms"),
        (LocaleFormat.took, 1.54, "1.5 sec", f"1,5{NARROW}s"),
        (LocaleFormat.date, date(2026, 11, 26), "November 26, 2026", "26 novembre 2026"),
    ],
)
def test_values_are_written_by_the_rules_of_the_language(
    write: Callable[[LocaleFormat, Any], str], value: object, english: str, french: str
) -> None:
    assert (write(ENGLISH, value), write(FRENCH, value)) == (english, french)


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (-5, "just now", "à l’instant"),
        (59, "just now", "à l’instant"),
        (120, "2 minutes ago", "il y a 2 minutes"),
        (7300, "2 hours ago", "il y a 2 heures"),
        (100_000, "1 day ago", "il y a 1 jour"),
    ],
)
def test_moments_are_written_by_their_age(seconds: int, english: str, french: str) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    assert (ENGLISH.ago(moment), FRENCH.ago(moment)) == (english, french)


def test_a_timestamp_is_in_utc_in_every_language() -> None:
    moment = datetime(2026, 3, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert {ENGLISH.timestamp(moment), FRENCH.timestamp(moment)} == {"2026-02-28 22:30:05 UTC"}


def test_what_is_counted_has_its_plural() -> None:
    assert (ENGLISH.plural(1, "run"), ENGLISH.plural(2000, "run")) == ("1 run", "2,000 runs")
    assert ENGLISH.plural(0, "batch", "batches") == "0 batches"


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_written_measurement_reads_back_to_three_digits(value: float) -> None:
    back = float(ENGLISH.number(value).replace("−", "-").replace(",", ""))
    assert back == pytest.approx(value, rel=0.0051, abs=0.0)


def test_english_needs_no_catalogue_and_a_missing_sentence_stays_english() -> None:
    assert translations(Language.ENGLISH).gettext("just now") == "just now"
    assert translations(Language.FRENCH).gettext("no such sentence") == "no such sentence"


def _sentences() -> Iterator[tuple[str, ...]]:
    """Every sentence that the code and the templates mark for translation, its plural with it."""
    for folder, method in (("app", "python"), ("templates", "jinja2")):
        suffix = "py" if method == "python" else "html"
        for _, _, message, _, _ in extract_from_dir(ROOT / folder, [(f"**.{suffix}", method)]):
            yield tuple(message) if isinstance(message, tuple | list) else (message,)


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.ENGLISH])
def test_every_sentence_is_in_the_catalogue_and_translated(language: Language) -> None:
    catalogue = read_po(BytesIO((FOLDER / f"{language}.po").read_bytes()), locale=str(language))
    found = {m.id if isinstance(m.id, tuple) else (m.id,): m for m in catalogue if m.id}
    assert set(found) == set(_sentences()), "run `make messages` and translate what is new"
    assert [m.id for m in found.values() if m.fuzzy or not all(_forms(m.string))] == []


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.ENGLISH])
def test_every_translation_has_the_fields_of_its_sentence(language: Language) -> None:
    catalogue = read_po(BytesIO((FOLDER / f"{language}.po").read_bytes()), locale=str(language))
    assert [(message.id, str(error)) for message, errors in catalogue.check() for error in errors] == []


def _forms(string: Any) -> tuple[str, ...]:
    return string if isinstance(string, tuple) else (string,)
