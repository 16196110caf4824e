"""Every select and insert, a folder per aggregate. ``session`` first, the rest by keyword."""
