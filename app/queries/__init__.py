"""Every select and insert, one module per aggregate. ``session`` first, the rest by keyword."""
