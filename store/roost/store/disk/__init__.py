"""Files under one root: paths, durable file operations, locks, lease files, layer blobs, folders of runs and workers.

Read ``layout`` and ``file_ops`` first, then ``root``, ``root_lock`` and ``lease_files``. All functions block: callers
in an event loop use threads.

May import ``roost.model`` and the modules ``clock`` and ``failpoints``.

Doors: file_ops, layer_files, layout, lease_files, regular_files, root, root_lock, run_folders, worker_folders.
"""
