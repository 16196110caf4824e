"""Where the program's files are that are no modules: templates, static files, documents, migrations.

In a checkout they are folders beside ``app``. A wheel holds them together in one folder beside it, so that none of
their general names stands among the packages of an environment.
"""

from pathlib import Path

_BESIDE = Path(__file__).resolve().parent.parent
INSTALLED = "neuron_audit_files"
IS_CHECKOUT = (_BESIDE / "pyproject.toml").is_file()


def files(name: str) -> Path:
    """One of the folders: ``templates``, ``static``, ``docs``, ``migrations``."""
    return _BESIDE / name if IS_CHECKOUT else _BESIDE / INSTALLED / name
