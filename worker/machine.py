"""Checks of the machine for a worker: a GPU, compiled loops, downloaded models."""

from collections.abc import Iterator

import torch
from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from app.domain.diagnosis import CheckState, Finding
from app.errors import CheckpointError
from worker.compiled_loops import compiled_loop
from worker.devices import device_name, first_device

MOST_NAMED = 4


def worker_findings(device: str) -> Iterator[Finding]:
    """Findings for a worker whose models run on ``device``, as the setting names it."""
    yield device_finding(device)
    yield loops_finding()
    yield models_finding()


def device_finding(device: str) -> Finding:
    """The device of the models. A processor is slower, but enough for the lexical method."""
    try:
        chosen = first_device(device)
    except CheckpointError as error:
        return Finding("models run on", CheckState.BROKEN, error.message.rstrip("."), "Set NEURON_AUDIT_DEVICE to auto")
    if chosen.type == "cuda":
        free, total = torch.cuda.mem_get_info(chosen)
        memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free, {torch.cuda.device_count()} in all"
        return Finding("models run on", CheckState.OK, f"{device_name(chosen)}, {memory}")
    found = f"{chosen}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    advice = "" if chosen.type == "mps" else "Without a GPU models beyond a few hundred million parameters are slow"
    return Finding("models run on", CheckState.OK if chosen.type == "mps" else CheckState.LIMITED, found, advice)


def loops_finding() -> Finding:
    """Whether loops can be compiled here."""
    try:
        total = compiled_loop(_sum_to)(10)
    except Exception as error:  # noqa: BLE001 - a compiler that does not work fails in many ways
        return Finding("compiled loops", CheckState.BROKEN, f"{type(error).__name__}: {error}", "Install numba again")
    state = CheckState.OK if total == _sum_to(10) else CheckState.BROKEN
    return Finding("compiled loops", state, "numba compiles" if state is CheckState.OK else "numba computes wrongly")


def _sum_to(n: int) -> int:
    total = 0
    for i in range(n):
        total += i
    return total


def models_finding() -> Finding:
    """The models in the hub's cache; others are downloaded when first needed."""
    try:
        repos = [repo for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        repos = []
    if not repos:
        return Finding(
            "models in the cache", CheckState.OK, "none", "A model of the hub is downloaded when it is needed"
        )
    largest = sorted(repos, key=lambda repo: -repo.size_on_disk)
    named = ", ".join(f"{repo.repo_id} ({repo.size_on_disk_str})" for repo in largest[:MOST_NAMED])
    more = f" and {len(repos) - MOST_NAMED} more" if len(repos) > MOST_NAMED else ""
    return Finding("models in the cache", CheckState.OK, f"{named}{more}")
