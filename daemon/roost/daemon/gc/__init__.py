"""Garbage collection: what goes if space is needed, in which order, and what stays.

Read ``values`` (the facts, the limits and the plan) and ``plan`` first: the decision, a pure function of them, with its
parts ``content``, ``ages``, ``kept`` and ``texts``. Then ``gathering`` (the facts of a root; ``projects``: whether
environment files still exist), ``collector`` (one collection) and ``triggers`` (when it begins by itself). The caches
and the engine are behind the interfaces of ``inventory``; ``limits`` has those in force, ``views`` what the protocol
shows.

May import everything below it; ``watch`` and ``bundles`` are beside it.

Doors: collector, engine_images, gathering, limits, pauses, texts, triggers, views.
"""
