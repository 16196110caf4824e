"""Keys that pages name in their HTML."""

import re

from app.home import files

KEYS = re.compile(r'data-key="([^"{]*)"')
WITHOUT_ALTGR = set("abcdefghijklmnopqrstuvwxyz0123456789,./")
"""What keyboards of every country type without AltGr; some with Shift."""


def test_no_key_needs_altgr() -> None:
    named = [keys for path in files("templates").rglob("*.html") for keys in KEYS.findall(path.read_text("utf-8"))]
    assert len(named) > 10
    assert [keys for keys in named if not WITHOUT_ALTGR & set(keys.split())] == []
