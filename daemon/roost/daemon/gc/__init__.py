"""Garbage collection: what goes if space is needed, in which order, and what stays.

Read ``values`` (the facts, the limits and the plan), ``plan`` (the decision, a pure function of them) and ``texts``
first, then ``gathering`` (the facts of a root).

May import everything below it; ``watch`` and ``bundles`` are beside it.

Doors: gathering, plan, values.
"""
