"""Starting commands in environments that are ready.

Read in this order: ``isolation`` (what a command gets of its caller's variables), ``prepare`` (whether a ready prefix
is still unchanged, and what a client needs to start a command in it), ``installers`` (commands that are refused, since
they would change it), ``plan`` (launch plans, with which the launcher starts a command without asking the daemon),
``folder`` (where launch plans lie, and how they are invalidated).

May import ``integrity`` and ``definitions`` of the daemon, the store, the model and the wire types.

Doors: folder, installers, isolation, plan, prepare.
"""
