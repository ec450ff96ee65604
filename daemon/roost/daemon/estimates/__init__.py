"""How long a build will take: from what is really to be done, with rates that were learned on this machine.

Reading order: ``priors`` (what is usual before anything is learned), ``model`` (prediction and learning; pure),
``work`` (what a lock leaves to do, by what is in the caches; pure), ``estimator`` (both, with the index). Imports
``model`` and ``store`` only.

Doors: estimator, model, work.
"""
