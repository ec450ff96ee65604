"""Routes about environments in the workspace: versions, curated ones, comparison, import and export, stored wheels.

In any order. Imports what ``routes`` does.

Doors: compare, curated, environments, exchange, wheels.
"""
