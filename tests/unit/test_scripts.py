"""Scripts of pages share one global scope: a name that two of them declare stops the second one."""

import re
from collections import Counter

from app.home import files

DECLARED = re.compile(r"^(?:const|let|var|class|(?:async )?function\*?)\s+(\w+|\{[^}]*\}|\[[^\]]*\])", re.MULTILINE)


def test_no_two_scripts_declare_the_same_name() -> None:
    names = Counter[str]()
    for path in files("static").glob("*.js"):
        for declared in DECLARED.findall(path.read_text("utf-8")):
            names.update(re.findall(r"\w+", declared))
    assert len(names) > 40
    assert [name for name, n in names.items() if n > 1] == []
