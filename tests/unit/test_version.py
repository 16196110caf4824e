import re

from app.version import code_version


def test_the_version_names_the_package_and_the_commit_where_there_is_one() -> None:
    assert re.fullmatch(r"\d[\w.]*(\+g[0-9a-f]+(\.dirty)?)?", code_version())
