"""Commands about the daemon and what it stores and shares, apart from environments and runs.

Modules in any order: ``daemon``, ``doctor`` (with ``shells``, which the daemon can't see), ``events``, ``cache``
(artifacts on disk), ``images``, ``registries``, ``watches``.

May import ``roost.client.cli`` (context, parser, selector), ``roost.client.cli.execution.builds``, and the client's
packages below the command line.

Doors: none.
"""
