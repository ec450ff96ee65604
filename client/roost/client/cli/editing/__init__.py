"""Commands that begin environment files and edit them.

Modules in any order: ``beginning`` (``init``), ``packages`` (``add``, ``remove``), ``text`` (what the latter two
print).

May import ``roost.client.cli`` (context, parser, selector), and the client's packages below the command line.

Doors: none.
"""
