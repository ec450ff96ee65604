"""Protocols for artifacts: publish, delete, recover, so that index and disk agree after any crash.

Read ``publish`` first, then ``deletion``, ``reconcile`` (the rules after a crash, a pure function), ``recovery``,
``records`` (what a lost index is rebuilt from) and ``usage``. ``artifact_store.ArtifactStore`` is ``store.artifacts``:
the entry of all of them.

May import ``index``, ``disk``, and the modules ``cancellation``, ``clock`` and ``failpoints``.

Doors: artifact_store, publish, reconcile, records, recovery, usage.
"""
