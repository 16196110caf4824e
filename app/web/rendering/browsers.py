"""Readable names of browsers."""

import re

BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
"""The mark of a browser in its User-Agent header, and its name. Later ones stand in the headers of earlier ones too."""
SYSTEMS = (
    ("iPhone|iPad", "iOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_name(agent: str) -> str:
    """Name and system of a browser by its User-Agent header, such as "Firefox on Linux"; else the header itself."""
    browser = next((name for mark, name in BROWSERS if re.search(rf"\b(?:Headless)?{mark}/", agent)), None)
    system = next((name for mark, name in SYSTEMS if re.search(mark, agent)), None)
    if browser is None:
        return agent or "unnamed"
    return browser if system is None else f"{browser} on {system}"
