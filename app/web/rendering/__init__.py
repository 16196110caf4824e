"""Conversion of a page's dataclass to HTML and JSON: templates, numbers and dates, drawings, error pages."""
