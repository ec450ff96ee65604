"""Explanations of solves that failed: which requirement of which file can't be met, and what may be meant.

Read ``causes`` (pure: from the engines' words to the requirement and its place) first, then ``well_known`` (packages
that are often called by another name), ``channel_names`` and ``near_names`` (what channels have, and which names uv was
asked for) and ``explain``, which puts the place and a hint into an error.

May import ``engines``, ``jobs`` and ``caller`` of the daemon, and the model.

Doors: explain.
"""
