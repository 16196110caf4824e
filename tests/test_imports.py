"""The contracts of import-linter hold for every module, and no import gets around them."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[dict[str, Any]] = SETTINGS["contracts"]
PROGRAM = sorted(path for folder in ("app", "worker", "demo") for path in (ROOT / folder).rglob("*.py"))
STARTS_OTHERS = {"app.cli"}
"""The one part of the core that may import the worker: its commands start it."""
MAY_KNOW_THE_DATABASE = {"worker.run", "worker.collection"}
BY_NAME = {"import_module", "__import__", "run_module", "run_path", "find_spec", "spec_from_file_location"}
BUILT_IN = {"exec", "eval", "compile"}
"""Functions that import or run code which no linter can follow."""
OURS = {"app", "demo", "worker", "tests", "benchmarks", "torch", "transformers"}
"""What contracts are about. Another library may be imported by its name, written out."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*SETTINGS["root_packages"])


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


def test_all_of_the_worker_but_what_runs_and_collects_is_kept_from_the_database(graph: grimp.ImportGraph) -> None:
    sources = set(named(contract("providers, steps and subjects"), "source_modules"))
    assert sources == graph.find_children("worker") - MAY_KNOW_THE_DATABASE


def test_an_import_inside_a_function_is_seen_by_the_contracts(graph: grimp.ImportGraph) -> None:
    assert graph.direct_import_exists(importer="app.cli.provider", imported="worker.run.probe")
    assert graph.direct_import_exists(importer="worker.run.opening", imported="worker.providers.local")


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: str(path.relative_to(ROOT)))
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
