"""``runs``: what ran, how it ended, what it printed, and what is noted of it.

Reading order: ``family`` (the parser of ``runs``), ``listing`` (``list`` with its filters, ``show``), ``waiting``
(``wait``, ``logs``, ``cancel``), ``annotations`` (``note``, ``tag``), ``comparison`` (``diff``).

May import ``roost.client.cli`` (context, paging, parser, selector), the doors of its other packages, and the client's
packages below the command line.

Doors: none.
"""
