"""Sentences in other languages, by gettext: English is in the code, and the French is in ``messages/fr.po``.

In Python ``translations(language).gettext("...")``, in a template ``{% trans %}...{% endtrans %}`` or ``_("...")``.
``make messages`` finds new sentences and adds them to the catalogues, where a translation is then to be written.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from app.localization.languages import Language

FOLDER = Path(__file__).parent / "messages"


@lru_cache
def translations(language: Language) -> NullTranslations:
    """The sentences of a language. One that is not in the catalogue comes back in English.

    The catalogue is compiled when it is first needed: a checkout and a wheel hold the same file, never an older one.
    """
    if language is Language.ENGLISH:
        return NullTranslations()
    compiled = BytesIO()
    with (FOLDER / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=str(language)))
    compiled.seek(0)
    return Translations(compiled)
