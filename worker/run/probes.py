"""Probes of providers: for a command, and as a task that the browser queues."""

from app.db import Sessions, transaction
from app.errors import DomainError, ProviderError
from app.queries.language_models.providers import provider_named, store_probe
from app.settings import Settings
from app.work.lease import TaskLease
from worker.run.held import Done, HeldWork
from worker.run.probe import Probe, probe_row


def probe_and_store(sessions: Sessions, settings: Settings, name: str) -> Probe:
    """Probe a provider and store the findings with its row, or store and raise its error.

    Raises NotFound, ProviderError, Invalid for a key that cannot be read.
    """
    with transaction(sessions) as session:
        row = provider_named(session, name=name)
    try:
        found = probe_row(row, settings)
    except DomainError as error:
        with transaction(sessions) as session:
            store_probe(session, name=name, capabilities=None, options={}, error=error.message)
        raise
    with transaction(sessions) as session:
        can = sorted(found.capabilities)
        store_probe(session, name=name, capabilities=can, options=dict(found.options), error=None)
    return found


class ProbeHandler:
    """Probes a language model once. The findings are stored, however the task ends."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return its capabilities, and reasons for missing ones, in words. Raises NotFound, Invalid, ProviderError."""
        name = held.lease.parameters["provider"]
        held.doing = f"a trial of {name}"
        held.report("sending requests", 0)
        try:
            found = probe_and_store(self._sessions, self._settings, name)
        except ProviderError as error:
            # A model that is down is a finding here, and not an outage to wait for.
            raise ProviderError(error.message, permanent=True) from error
        return Done(
            result={
                "can": ", ".join(sorted(found.capabilities)),
                **{f"not_{capability}": reason for capability, reason in found.missing.items()},
                **({"remarks": " ".join(found.remarks)} if found.remarks else {}),
            }
        )
