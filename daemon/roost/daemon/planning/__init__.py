"""Planning: gather the facts about a request and decide, without building anything.

Read in this order: ``planner`` (from a definition to a plan with its facts), ``locking`` (the lock of a definition for
one platform), ``image_details`` (everything about the image that a plan is for).

May import ``images``, ``bases``, ``locks``, ``launch``, ``definitions``, ``decision``, ``engines`` and the packages
below them, the store, the model and the wire types.

Doors: image_details, locking, planner.
"""
