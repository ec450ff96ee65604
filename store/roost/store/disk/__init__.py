"""Files under one root: paths, durable file operations, locks, lease files, layer blobs, folders of runs and workers.

Read ``layout`` and ``file_ops`` first, then ``root`` with ``ownership``, ``root_lock`` and ``lease_files``;
``prefix_records`` and ``run_folders`` have what a lost index is rebuilt from; ``home`` is where a root lies that nobody
names; ``inotify`` has the kernel's notices about folders. Removing: ``process_uses`` (who has a path open),
``removal``. All functions block: callers in an event loop use threads.

May import ``roost.model`` and the modules ``clock`` and ``failpoints``.

Doors: file_ops, home, inotify, layer_files, layout, lease_files, ownership, prefix_records, process_uses,
regular_files, removal, root, root_lock, run_folders, worker_folders.
"""
