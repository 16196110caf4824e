"""Marker for sentences of ``app.domain`` that are translated when they are shown."""


def N_(sentence: str) -> str:
    """Return the sentence unchanged; the call adds it to the translation catalogues."""
    return sentence
