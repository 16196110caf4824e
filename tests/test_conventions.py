"""Rules that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

from app.domain import bounds
from app.domain.roles import Action
from app.domain.work import KINDS, RUN
from app.models import Base
from app.settings import Settings, settings_table
from app.web.rendering.templating import Renderer
from worker.run.handlers import MAKERS

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PYTHON = sorted(p for folder in ("app", "worker", "demo", "benchmarks", "tests") for p in (ROOT / folder).rglob("*.py"))
CODE = "\n".join(p.read_text() for p in PYTHON if "tests" not in p.parts)
MAX_LINES = 400
SETTINGS = ROOT / "app" / "settings.py"
PROGRAM = [p for p in PYTHON if p.relative_to(ROOT).parts[0] in ("app", "worker", "demo") and p != SETTINGS]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_readme_shows_every_setting() -> None:
    assert settings_table() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_used(name: str) -> None:
    others = "\n".join(p.read_text() for p in PYTHON if p != SETTINGS and "tests" not in p.parts)
    assert re.search(rf"settings\.{name}\b|loaded\.{name}\b", others), f"nobody reads settings.{name}"


def test_every_kind_of_work_has_a_handler() -> None:
    assert set(MAKERS) == {RUN, *KINDS}


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_every_template_compiles_and_is_used(path: Path) -> None:
    name = str(path.relative_to(ROOT / "templates"))
    Renderer().environment.get_template(name)
    users = CODE + "\n".join(p.read_text() for p in TEMPLATES if p != path)
    assert f'"{name}"' in users, f"nobody uses {name}"


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_every_hx_request_has_a_link_or_form_behind_it(path: Path) -> None:
    for tag in re.findall(r"<[a-z][^<>]*hx-(?:get|post)=[^<>]*>", path.read_text()):
        polled = "hx-trigger" in tag and "every" in tag
        assert polled or "href=" in tag or "action=" in tag or "formaction=" in tag, tag


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_no_template_has_inline_style_or_script_or_trusts_text(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", source)
    assert not re.search(r"<script(?![^>]*\bsrc=)", source)
    assert "|safe" not in source.replace(" ", "")


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_templates_take_bounds_and_actions_from_the_domain(path: Path) -> None:
    source = path.read_text()
    assert re.findall(r'maxlength="\d+"', source) == []
    assert set(re.findall(r"\bbounds\.(\w+)", source)) <= set(vars(bounds))
    assert set(re.findall(r'frame\.may\("(\w+)"\)', source)) <= set(Action)


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_no_file_has_grown_past_its_size(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", PROGRAM, ids=relative)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    assert not re.search(r"os\.(environ|getenv)", path.read_text())


@pytest.mark.parametrize("package", ["app/domain", "app/queries", "app/formats", "worker"])
def test_public_functions_have_docstrings(package: str) -> None:
    bare = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if ast.get_docstring(node) is None
    ]
    assert bare == []


def test_no_relationship_loads_by_itself() -> None:
    loads = [r for m in Base.registry.mappers for r in m.relationships if r.lazy not in ("raise", "raise_on_sql")]
    assert loads == []


def test_the_project_names_no_path_of_a_machine_and_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert not re.search(r"--(extra-)?index-url|://", (ROOT / "constraints.txt").read_text())
