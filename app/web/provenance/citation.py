"""Citations of an explanation: a sentence and BibTeX, with a digest that identifies the text."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

_SPECIAL = re.compile(r"[\\{}$&#%_^~]")
_WRITTEN = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


@dataclass(frozen=True, slots=True)
class Citation:
    """An explanation as others refer to it."""

    explanation_id: int
    text: str
    by: str
    neuron: str
    """``subject layer/index``."""
    created_at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the text in UTF-8, its first 16 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def sentence(self, url: str) -> str:
        """A citation for running text."""
        day = self.created_at.date().isoformat()
        return (
            f"“{self.text}”, explanation {self.explanation_id} of neuron {self.neuron} by {self.by}, {day}, "
            f"text sha256:{self.digest}. {url}"
        )

    def bibtex(self, url: str) -> str:
        """A BibTeX entry."""
        fields = {
            "author": f"{{{_escaped(self.by)}}}",
            "title": f"{{{_escaped(self.text)}}}",
            "year": str(self.created_at.year),
            "howpublished": f"Explanation {self.explanation_id} of neuron {_escaped(self.neuron)}",
            "note": f"Text sha256:{self.digest}",
            "url": url,
        }
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@misc{{neuron-audit-explanation-{self.explanation_id},\n{lines}}}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _WRITTEN.get(found[0], f"\\{found[0]}"), " ".join(text.split()))
