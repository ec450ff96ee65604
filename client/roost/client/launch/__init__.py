"""Starting commands in an environment.

Reading order: ``activate`` (variables, the command's program, the prefix's lease), ``hot`` (``exec`` in one request and
one exec), ``shells`` (interactive shells), ``supervise`` (the process that runs a recorded command of a prefix),
``attach`` (standard streams of a run in a container), ``attach_failure`` (what follows if they are lost), ``hot_run``
(``run`` of what is ready, in one request), ``begun`` (a build that ``hot`` or ``hot_run`` has requested for the command
line).

``hot``, ``hot_run``, ``supervise``, ``activate`` and ``attach`` are the hot path: they import the standard library
only, and of it what the interpreter has loaded already or a small C module. The daemon starts ``supervise`` by its
name.

May import ``roost.client.transport``, ``terminal``, ``paths`` and ``errors``.

Doors: activate, attach, attach_failure, begun, folders, hot, hot_run, shells, supervise.
"""
