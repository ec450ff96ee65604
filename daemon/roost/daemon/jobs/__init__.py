"""Work in progress, whatever it is: what runs once for many, how it reports, and when the daemon may stop.

Reading order: ``progress`` (what engines report to), ``shared_task`` (one execution for everybody who asks),
``reporter`` (progress as messages of a shared task), ``work_stream`` (the same for work of one request),
``work_limit`` (how much of one kind runs at a time),
``unpacking`` (how large one package may become), ``holds`` (what must not be removed from the caches now), ``events``
(what happened, stored and followed), ``lifecycle`` (idle timer and stop), ``idle_work`` (what runs while there is
nothing else to do), ``views`` (records and errors in their wire form). Imports ``credentials``, the store's index, the
model and the wire; no HTTP.

Doors: events, holds, idle_work, lifecycle, progress, reporter, shared_task, space, unpacking, views, work_limit,
work_stream.
"""
