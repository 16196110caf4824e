"""Ages that are written stay right for as long as they say."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from app.localization import formats, validity
from app.localization.formats import LocaleFormat
from app.localization.languages import Language

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Clock(datetime):
    """The time that a test sets."""

    moment = NOW

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # the tests' clock knows UTC alone
        return cls.moment


def written(age: float, language: Language) -> tuple[str, float]:
    """The text of an age, and for how many seconds it says that it stays right."""
    with (
        patch.object(formats, "datetime", Clock),
        patch("time.time", lambda: 0.0),
        validity.noted_validity() as noted,
    ):
        return LocaleFormat(language).ago(NOW - timedelta(seconds=age)), noted.until


@given(
    st.one_of(st.floats(0, 200), st.floats(0, 1e5), st.floats(0, 1e8)), st.floats(0, 1), st.sampled_from(list(Language))
)
def test_an_age_stays_right_while_it_says_so(age: float, share: float, language: Language) -> None:
    text, seconds = written(age, language)
    assert seconds >= 0
    later = age + share * max(0.0, seconds - 1e-3)
    assert written(later, language)[0] == text


def test_ages_of_hours_and_days_stay_right_for_long() -> None:
    assert written(30, Language.ENGLISH) == ("just now", 30)
    assert written(3 * 3600, Language.ENGLISH) == ("3 hours ago", 1800)
    assert written(5 * 86400, Language.ENGLISH) == ("5 days ago", 43200)


def test_nothing_is_noted_where_nobody_asks() -> None:
    validity.note_validity(5)
    with validity.noted_validity() as noted:
        pass
    assert noted.until == validity.FOREVER
