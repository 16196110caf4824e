"""Leased work: the one contract between those who queue work and the workers that do it.

A piece of work is a row that is leased: a *run* (one neuron through one method, many of them in a batch) in table
``run``, or a *task* (any other kind) in table ``task``. Both have the same lease columns
(``app.models.work.LeaseColumns``), go through the same statements (``lease``, ``decisions``) and through the same loop
of a worker (``worker.run.loop``):

- it is queued in the caller's transaction, with all that belongs to it (``enqueue``, ``tasks``);
- the queue's engine wakes a free slot (``engine``), by a job that names a lane and nothing else;
- the slot begins it (``begin``): a new lease token, which is the fence of all that follows;
- the worker renews the lease while the handler reports progress; a cancelled or taken-over piece raises ``LeaseLost``
  at the next report;
- one transaction ends it and stores its results; without the token nothing is stored;
- failed attempts are repeated after a growing delay and end in quarantine, as do repeated crashes of the worker;
  outages of the database or of a language model count as neither.

To add a kind of task:

1. Add a ``TaskKind`` to ``KINDS`` in ``app.domain.work``: its name, its label, and its lane: ``INTERACTIVE`` if it
   takes seconds and a person waits for it, else ``BACKGROUND``.
2. Queue it: ``enqueue_task(session, kind=..., title=..., account_id=..., parameters={...})``. ``parameters`` are JSON
   values, ids rather than content. ``unique_key`` keeps the same work from being queued twice at a time.
3. Write its handler, a callable in ``worker`` that is given a ``worker.run.held.HeldWork`` and returns a ``Done``, and
   name it in ``worker.run.handlers.MAKERS``::

       class CheckHandler:
           def __init__(self, services: WorkerServices) -> None: ...

           def __call__(self, held: HeldWork[TaskLease]) -> Done:
               parameters = held.lease.parameters
               for n, neuron in enumerate(neurons):
                   ...
                   held.report("check", n / len(neurons))  # at least once a minute
               return Done(result={"n_checked": len(neurons)}, store=partial(store_checks, checks=checks))

   ``result`` (JSON, small) is stored with the task. ``store(session)`` writes rows of their own, in the transaction
   that ends the task: behind the fence, so it runs at most once. What a handler commits before that, in transactions of
   its own, may happen again in the next attempt: it must be harmless to repeat. Raise a ``DomainError`` where another
   attempt would fail the same way.
4. Its pages come for free: ``/tasks`` lists it, ``/tasks/{id}`` shows progress, error and result, and cancels and
   retries it. ``result_page`` of the kind links to the page where its result is shown.

``tests/test_conventions.py`` holds that each kind has a handler.
"""
