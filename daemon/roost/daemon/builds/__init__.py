"""Making environments ready: from a request to a lock, a prefix or an image, a generation, and a record of it all.

Reading order: ``job`` (a request), ``session`` (one build: plan, lock, produce, record, report), ``builds`` (one
session for all who ask the same), ``history`` (rows, log files, results), ``credentials``. Imports
``background``, ``leases``, ``prefixes``, ``planning``, ``images`` and what lies below; knows neither runs nor HTTP.

Doors: builds, credentials, history, job.
"""
