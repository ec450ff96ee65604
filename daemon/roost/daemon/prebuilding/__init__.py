"""Prebuilding: environments that are made ready in the background, before anybody asks for them.

Reading order: ``choice`` (what may begin now, pure), ``machine`` (battery and load), ``prebuilds`` (the queue, and one
build at a time). What makes a build a background one is in ``background`` and ``builds``. Imports these two,
``caller``, ``config`` and ``jobs``; knows neither files nor watches.

Doors: prebuilds.
"""
