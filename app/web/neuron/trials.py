"""What the pages that try texts share: what a text may be."""

from app.domain.bounds import LONGEST_TRIAL
from app.errors import Invalid
from app.queries.common.inputs import plain_text


def tried_text(sent: str) -> str:
    """The text as it is run: white space at its ends stays, since it belongs to tokens. Raises Invalid."""
    words = sent.replace("\r\n", "\n")
    if not plain_text(words[: LONGEST_TRIAL + 1], what="text", limit=LONGEST_TRIAL):
        raise Invalid("The text is empty. Type something that a neuron may fire on.")
    return words
