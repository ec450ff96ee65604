"""Watching: environments that are made ready in the background when a file that they are defined by changes.

Reading order: ``states`` (what a watch does next, pure), ``schedule`` (when a change is processed, pure).

May import the daemon's packages below it; knows neither ``gc`` nor ``bundles``.

Doors: none.
"""
