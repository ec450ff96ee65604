"""Commands that look into an environment: what is in it, who needs whom, why, and where.

Reading order: ``packages`` (``list``), ``trees`` (a graph as lines, pure), ``tree``, ``reasons`` (``why``),
``programs`` (``which``).

May import ``roost.client.cli`` (context, parser, selector), and the client's packages below the command line.

Doors: none.
"""
