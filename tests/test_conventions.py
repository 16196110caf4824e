"""Rules that no linter knows."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

from app.domain import bounds
from app.domain.roles import Permission
from app.domain.work import KINDS, RUN
from app.models import Base
from app.settings import Settings, settings_table
from app.web.rendering.enums import TEMPLATE_ENUMS
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


def test_the_readme_shows_three_small_pictures() -> None:
    """Everybody who clones the repository takes them along, for good."""
    named = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "images").iterdir())
    assert len(named) == 3
    assert [name for name in named if (ROOT / name).stat().st_size > 120_000] == []


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_used(name: str) -> None:
    others = "\n".join(p.read_text() for p in PYTHON if p != SETTINGS and "tests" not in p.parts)
    assert re.search(rf"settings\.{name}\b|loaded\.{name}\b", others), f"nobody reads settings.{name}"


def test_every_kind_of_work_has_a_handler() -> None:
    assert set(MAKERS) == {RUN, *KINDS}


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_every_template_compiles_and_is_used(path: Path) -> None:
    name = str(path.relative_to(ROOT / "templates"))
    for environment in Renderer().environments.values():
        environment.get_template(name)
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


MACRO = re.compile(r"{%-?\s*macro\s+(\w+)")
MACRO_IMPORT = re.compile(r'{%-?\s*from\s+"[^"]+"\s+import\s+([^%]+?)\s*-?%}')
MACROS = {name for path in TEMPLATES for name in MACRO.findall(path.read_text())}


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_imports_the_macros_that_it_calls_and_no_others(path: Path) -> None:
    source = path.read_text()
    imported = {name.split()[-1] for names in MACRO_IMPORT.findall(source) for name in names.split(",")}
    called = {name for name in MACROS if re.search(rf"(?:{{[{{%]|[(,~]|\bif\b|\bcall\b)\s*{name}\(", source)}
    assert called - imported - set(MACRO.findall(source)) == set()
    assert [name for name in imported if len(re.findall(rf"\b{name}\b", source)) == 1] == []


INPUT = re.compile(r"""<input\b(?:[^>"']|"[^"]*"|'[^']*')*>""")
TEXTAREA = re.compile(r"<textarea[^>]*>(.*?)</textarea>", re.DOTALL)
NO_FREE_TEXT = re.compile(r'type="(?!text|search|email|\{)|inputmode="|readonly')
"""Fields that are chosen, hold numbers or are not sent."""


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_field_gives_back_what_was_typed(path: Path) -> None:
    text = path.read_text()
    fields = [tag for tag in INPUT.findall(text) if not NO_FREE_TEXT.search(tag) and 'value="{{' in tag]
    fields += [found for found in TEXTAREA.findall(text) if "{{" in found]
    assert [field for field in fields if "|exact" not in field and "pretty_json" not in field] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_templates_take_bounds_and_permissions_from_the_domain(path: Path) -> None:
    source = path.read_text()
    assert re.findall(r'maxlength="\d+"', source) == []
    assert set(re.findall(r"\bbounds\.(\w+)", source)) <= set(vars(bounds))
    assert set(re.findall(r'frame\.may\("(\w+)"\)', source)) <= set(Permission)


STATE = r"\b(?:status|state|kind|source|outcome|verdict|lane|participants|change|better|slot)(?:\.value)?"
COMPARED = re.compile(STATE + r"""\s*(?:==?|!=|<>|\bIN\b|\bin\b)\s*[(\[]?((?:\s*,?\s*["'][a-z_]+["'])+)""")
LITERALS = re.compile(r"\bLiteral\[([^\]]+)\]")
PAGE_WORDS = set(re.findall(r'"([a-z_]+)"', "\n".join(f for p in PROGRAM for f in LITERALS.findall(p.read_text()))))
"""The words of the literals that type a page's state."""
MEMBER = re.compile(r"\b([A-Z]\w+)\.([A-Z][A-Z_]*)\b")


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_compares_with_the_members_of_enums(path: Path) -> None:
    """A word that is written out would silently never match once its enum is changed."""
    source = path.read_text()
    compared = {word for found in COMPARED.findall(source) for word in re.findall(r"[a-z_]+", found)}
    assert compared - PAGE_WORDS == set()
    named = [(enum, member) for enum, member in MEMBER.findall(source) if enum in TEMPLATE_ENUMS]
    assert [member for enum, member in named if member not in TEMPLATE_ENUMS[enum].__members__] == []


def test_templates_know_the_enums_they_name_and_no_others() -> None:
    named = {enum for path in TEMPLATES for enum, _ in MEMBER.findall(path.read_text())}
    assert named == set(TEMPLATE_ENUMS)


IN_SQL = re.compile(r"(?:_kind|" + STATE + r")\s*(?:=|<>|!=|IS DISTINCT FROM|\bIN\b)\s*\(?\s*'[a-z_]+'")


@pytest.mark.parametrize("path", PROGRAM, ids=relative)
def test_no_statement_writes_out_a_word_of_an_enum(path: Path) -> None:
    strings = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert [found for string in strings if isinstance(string, str) for found in IN_SQL.findall(string)] == []


EXCEPTION = re.compile(r"#\s(?:noqa|type:\signore)\b(.*)")
WITH_REASON = re.compile(r"(?:: [A-Z0-9, ]+|\[[a-z-]+\]) +(?:- |# )\S+")


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_an_exception_to_a_rule_names_the_rule_and_its_reason(path: Path) -> None:
    unexplained = [f"line {n}" for n, line in enumerate(path.read_text().splitlines(), 1) if is_unexplained(line)]
    assert unexplained == []


def is_unexplained(line: str) -> bool:
    """Whether a line makes an exception without saying of which rule and why."""
    found = EXCEPTION.search(line)
    return found is not None and not WITH_REASON.match(found[1])


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


CONTRACT_SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[dict[str, Any]] = CONTRACT_SETTINGS["contracts"]
IMPORTERS = [p for p in PYTHON if p.relative_to(ROOT).parts[0] in ("app", "worker", "demo")]
STARTS_OTHERS = {"app.cli"}
"""The one part of the core that may import the worker: its commands start it."""
MAY_KNOW_THE_DATABASE = {"worker.run", "worker.checks", "worker.collection"}
BY_NAME = {"import_module", "__import__", "run_module", "run_path", "find_spec", "spec_from_file_location"}
BUILT_IN = {"exec", "eval", "compile"}
"""Functions that import or run code which no linter can follow."""
OURS = {"app", "demo", "worker", "tests", "benchmarks", "torch", "transformers"}
"""What contracts are about. Another library may be imported by its name, written out."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*CONTRACT_SETTINGS["root_packages"])


def named(contract: dict[str, Any], key: str) -> Iterator[str]:
    """The modules in a contract's list; those of layers with their container."""
    for entry in contract.get(key, ()):
        for name in str(entry).replace("|", " ").split():
            containers = contract.get("containers")
            yield from [name] if containers is None else [f"{container}.{name}" for container in containers]


def within(module: str, parents: set[str]) -> bool:
    return any(module == parent or module.startswith(f"{parent}.") for parent in parents)


def contract(start: str) -> dict[str, Any]:
    (found,) = (c for c in CONTRACTS if c["name"].startswith(start))
    return found


def test_every_module_of_the_core_and_of_the_worker_stands_in_a_layer(graph: grimp.ImportGraph) -> None:
    layers = {name for c in CONTRACTS if c["type"] == "layers" for name in named(c, "layers")}
    packages = {module.rpartition(".")[0] for module in graph.modules}
    modules = {m for m in graph.modules if m.startswith(("app.", "worker.")) and m not in packages}
    assert sorted(m for m in modules if not within(m, layers)) == []


def test_every_layer_is_a_module_that_exists(graph: grimp.ImportGraph) -> None:
    named_modules = {name for c in CONTRACTS for key in ("layers", "source_modules") for name in named(c, key)}
    assert sorted(named_modules - graph.modules) == []


def test_all_of_the_core_but_its_commands_is_kept_from_the_worker(graph: grimp.ImportGraph) -> None:
    sources = set(named(contract("the core never imports the worker"), "source_modules"))
    assert sources == graph.find_children("app") - STARTS_OTHERS


def test_only_what_runs_collects_and_checks_in_the_worker_knows_the_database(graph: grimp.ImportGraph) -> None:
    sources = set(named(contract("providers, steps and subjects"), "source_modules"))
    assert sources == graph.find_children("worker") - MAY_KNOW_THE_DATABASE


def test_an_import_inside_a_function_is_seen_by_the_contracts(graph: grimp.ImportGraph) -> None:
    assert graph.direct_import_exists(importer="app.cli.provider", imported="worker.run.probes")
    assert graph.direct_import_exists(importer="worker.run.opening", imported="worker.providers.local")


@pytest.mark.parametrize("path", IMPORTERS, ids=relative)
def test_nothing_is_imported_by_a_name_in_a_string(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls if gets_around(call)] == []


def gets_around(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name) and call.func.id in BUILT_IN:
        return True
    if getattr(call.func, "attr", getattr(call.func, "id", "")) not in BY_NAME:
        return False
    what = call.args[0] if call.args else None
    return not (isinstance(what, ast.Constant) and str(what.value).split(".")[0] not in OURS)


@pytest.mark.parametrize(
    ("source", "is_refused"),
    [
        ('import_module("worker.run.probe")', True),
        ("importlib.import_module(name)", True),
        ('importlib.import_module("datasets")', False),
        ('__import__("app.web")', True),
        ("runpy.run_module('worker')", True),
        ("exec(code)", True),
        ("model.eval()", False),
    ],
)
def test_the_rule_tells_other_libraries_from_ours(source: str, is_refused: bool) -> None:
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert gets_around(call) is is_refused


def test_the_queues_library_is_used_by_its_interface_in_two_modules_alone() -> None:
    """Its tables belong to it: no other module reads or writes them."""
    users = [p for p in PROGRAM if re.search(r"^\s*(import|from) procrastinate\b", p.read_text(), re.MULTILINE)]
    assert [relative(p) for p in users] == ["app/work/engine.py", "worker/run/engine.py"]
    assert [relative(p) for p in PROGRAM if "procrastinate_" in p.read_text()] == []
    assert [relative(p) for p in users if re.search(r"procrastinate\.(sql|manager|worker)\b", p.read_text())] == []
