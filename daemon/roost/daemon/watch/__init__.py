"""Watching: environments that are made ready in the background when a file that they are defined by changes.

Reading order: ``states`` (what a watch does next, pure), ``schedule`` (when a change is processed, pure), ``closure``
(the inputs of a definition), ``reading`` (what a definition is now), ``watched`` (one watch, and its row), ``driver``
(the effects), ``saving`` (rows, in batches), ``uses`` (files that requests used), ``watches`` (the door: all watches),
``views``, ``news`` (moved bases and new versions, once a day). ``files`` sees that files change, and knows no
definitions.

May import the daemon's packages below it; knows neither ``gc`` nor ``bundles``.

Doors: driver, news, reading, saving, watches.
"""
