"""What people type into a search field, made safe for PostgreSQL's parser."""

import re

_STRAY_MINUS = re.compile(r'-(?![\w"])')


def web_search(words: str) -> str:
    """``words`` for ``websearch_to_tsquery``: a minus sign stays only where it excludes a word or a quotation.

    The parser keeps each exclusion whose word has not come yet on a stack of 32, and a 33rd is an internal error.
    """
    return _STRAY_MINUS.sub(" ", words)
