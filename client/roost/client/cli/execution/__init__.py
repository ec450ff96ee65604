"""Commands that lead from an environment to a running command: plan, build, run.

Reading order: ``plans`` (``plan``, ``digest``), ``locks`` (``lock``), ``sboms`` (bills of materials of it), ``builds``
(``build``, ``builds``), ``launches`` (``run``, ``exec``, ``shell``), ``follow`` (a run from its start to its end),
``reruns`` (``runs rerun``).

May import ``roost.client.cli`` (context, paging, parser, selector), ``roost.client.launch`` and what is below them.

Doors: builds, reruns.
"""
