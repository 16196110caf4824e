"""Holds docker-compose.yml and the Dockerfile against the command line and the settings that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from psycopg.conninfo import conninfo_to_dict
from typer.main import get_command

from app.cli.main import cli
from app.db import make_engine
from app.settings import Settings
from app.version import COMMIT_FILE

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DIGEST = "@sha256:[0-9a-f]{64}"
OURS = [name for name, service in SERVICES.items() if "build" in service]


def known_variables() -> set[str]:
    return {"DATABASE_URL", "PGPASSWORD"} | {f"NEURON_AUDIT_{name.upper()}" for name in Settings.model_fields}


def is_command(words: list[str]) -> bool:
    """Whether ``neuron-audit WORDS`` is a command that exists."""
    command: Any = get_command(cli)
    for word in words:
        commands = getattr(command, "commands", {})
        if word not in commands:
            return isinstance(command, typer.core.TyperCommand) and bool(command.params)
        command = commands[word]
    return not hasattr(command, "commands")


def test_the_services_are_database_migration_web_and_workers() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "web", "worker", "worker-gpu"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_service_is_a_setting(name: str) -> None:
    assert set(SERVICES[name]["environment"]) <= known_variables()


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_health_check_exists(name: str) -> None:
    service = SERVICES[name]
    programs = [service["command"]] if "command" in service else []
    if "healthcheck" in service:
        programs.append(service["healthcheck"]["test"][1:])
    for program, *words in programs:
        assert program == "neuron-audit"
        assert is_command(words), words


def test_the_images_start_commands_that_exist() -> None:
    started = re.findall(r'CMD \["neuron-audit", "(\w+)"\]', DOCKERFILE)
    assert started == ["serve", "worker"]
    assert all(is_command([word]) for word in started)


@pytest.mark.parametrize("name", OURS)
def test_every_image_has_a_target_and_runs_as_an_ordinary_user(name: str) -> None:
    stage = DOCKERFILE.split(f" AS {SERVICES[name]['build']['target']}\n")[1].split("\nFROM")[0]
    assert "USER audit" in stage


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "migrate"])
def test_every_lasting_service_has_a_health_check_and_restarts(name: str) -> None:
    assert "healthcheck" in SERVICES[name]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_no_secret_stands_in_the_file_and_none_in_an_address() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert value.startswith("${POSTGRES_PASSWORD:?")
            assert "PASSWORD" not in value or "PASSWORD" in variable


def test_a_password_of_any_characters_reaches_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "p@ss/w:rd%41")
    engine = make_engine(SERVICES["web"]["environment"]["DATABASE_URL"])
    positional, named = engine.dialect.create_connect_args(engine.url)
    assert "password" not in conninfo_to_dict(*positional, **named)  # libpq takes it from the environment as it is
    assert engine.url.host == "postgres"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit"} <= set(service)
    assert service.get("read_only", False) is (name in OURS)


@pytest.mark.parametrize("name", OURS)
def test_every_service_of_ours_has_the_provider_keys_and_the_file_that_encrypts_them(name: str) -> None:
    assert {"path": "provider-keys.env", "required": False} in SERVICES[name]["env_file"]
    assert "data:/data" in SERVICES[name]["volumes"]  # ``run --rm web`` writes provider.key there too


def test_images_are_pinned_by_digest() -> None:
    assert re.fullmatch(rf"\${{POSTGRES_IMAGE:-pgvector/pgvector:\S+-pg18-\S+{DIGEST}}}", SERVICES["postgres"]["image"])
    (python,) = re.findall(rf"^ARG PYTHON_IMAGE=(python:3\S+{DIGEST})$", DOCKERFILE, flags=re.MULTILINE)
    assert {SERVICES[name]["build"]["args"]["PYTHON_IMAGE"] for name in OURS} == {f"${{PYTHON_IMAGE:-{python}}}"}
    assert re.findall(r"^FROM (\S+) AS", DOCKERFILE, flags=re.MULTILINE)[:2] == ["${PYTHON_IMAGE}"] * 2


def test_images_are_built_with_the_commit_that_results_are_stored_with() -> None:
    assert {SERVICES[name]["build"]["args"]["COMMIT"] for name in OURS} == {"${COMMIT:-}"}
    assert 'ARG COMMIT=""\nRUN echo "${COMMIT}" > ' + COMMIT_FILE in DOCKERFILE.partition(" AS core\n")[2]


def test_files_with_secrets_stay_out_of_images_and_commits() -> None:
    for ignored in (".dockerignore", ".gitignore"):
        assert {".env", "*.env"} <= set((ROOT / ignored).read_text().splitlines())


def test_the_gpu_worker_waits_for_its_profile() -> None:
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_the_files_that_the_images_copy_exist() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    missing = [name for line in copied for name in line.split() if not (ROOT / name).exists()]
    assert missing == []


def test_the_volumes_that_services_mount_are_declared() -> None:
    mounted = {volume.split(":")[0] for s in SERVICES.values() for volume in s.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])
