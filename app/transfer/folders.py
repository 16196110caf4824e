"""Folders of the installation for data in and out. Web processes and workers must see them under the same paths."""

from pathlib import Path

from app.settings import Settings


def imports_folder(settings: Settings) -> Path:
    """From which pages import."""
    return settings.import_dir or settings.data_dir / "imports"


def exports_folder(settings: Settings) -> Path:
    """Where workers leave exports for pages to serve."""
    return settings.data_dir / "exports"
