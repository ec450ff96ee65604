"""Work that nobody waits for: how it is marked, what it may not do, and how little of the machine it gets.

Reading order: ``work`` (one piece of background work, and how a person's request takes its place), ``priority`` (lowest
priority of processor and disk, for threads and processes), ``threads`` (the daemon's threads for both kinds of work),
``code`` (whether code of packages and projects may run in it, and the record of what has run). Imports ``roost.model``
only, so that engines and workers can ask.

Doors: code, priority, threads, work.
"""
