"""Marks sentences of the domain that are translated where they are shown."""


def N_(sentence: str) -> str:
    """The sentence as it is. Its mark puts it into the catalogues of translations."""
    return sentence
