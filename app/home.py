"""The folders of the program's files that are not modules: templates, static files, documents, migrations.

In a checkout they are folders beside ``app``. A wheel has them together in one folder beside it, so that their general
names do not clash with other packages of an environment.
"""

from pathlib import Path

_BESIDE = Path(__file__).resolve().parent.parent
INSTALLED = "neuron_audit_files"
IS_CHECKOUT = (_BESIDE / "pyproject.toml").is_file()


def files(name: str) -> Path:
    """One of the folders: ``templates``, ``static``, ``docs``, ``migrations``."""
    return _BESIDE / name if IS_CHECKOUT else _BESIDE / INSTALLED / name
