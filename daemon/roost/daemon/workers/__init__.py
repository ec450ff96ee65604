"""Processes of the daemon that run what may crash or never end: native libraries and large inputs.

Read ``jobs`` first (what can be run), then ``pool`` (who runs it), ``process`` (one worker, as the daemon sees it) and
``main`` (the same worker from inside, with ``context``). ``frames`` and ``faults`` are what travels between the two,
``errors`` what a caller may get besides the job's own errors. A worker runs one job at a time, so that a crash fails
one build only.

Imports ``background``, ``credentials``, ``jobs.progress``, ``roost.store`` and ``roost.model``. A function that runs in
a worker is named by text, never imported: the daemon does not load what it needs.

Doors: context, errors, jobs, pool.
"""
