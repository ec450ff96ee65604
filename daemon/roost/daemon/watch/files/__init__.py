"""See that files have changed. Nothing here knows what the files mean.

``FileWatcher`` is given paths by owners, and reports the owners of whose paths the *content* may have changed.

- Folders are watched, never files and no trees, one inotify watch for each folder: a watch of a file ends when an
  editor replaces it. A notice only means "look again"; what is compared is a digest, so that touch, chmod, a file that
  is written with the same bytes, and temporary files beside it cause nothing. An owner is told too often rather than
  too rarely: the content that it reads when it is told is the last one, or it is told again.
- Everything is looked at again after notices were lost, after an error, and after the machine was suspended.
- Where the kernel reports nothing (network mounts, by their type in the table of mounts) or can't (limits of inotify,
  folders that can't be read, systems without inotify), the paths are polled, and ``describe`` gives the reason.
- All this happens on a thread of its own, which sleeps until there is a notice, and on one for each mount that is
  polled. The event loop only gets the owners.

Decided by measurements, for inotify by ctypes (``store.disk.inotify``) and polling elsewhere, and against watchfiles: a
``RustNotify`` can't be given further folders (each ``watch`` would begin all of them anew, and lose what happens
meanwhile), it does not report that its queue has overflowed, and it has no mask: folders above the watched ones, whose
renaming matters, would send an event for each file that somebody writes there. It costs 6 MB and 20 wake-ups a
second, too; ``tests/bench/bench_watch.py`` has the costs of this package. Where there is no inotify, polling by
``stat`` with a bounded share of a core does, which network mounts need anyway.

Reading order: ``methods`` (how files are seen), ``mounts`` (which mount a path lies on), ``trails`` (which names in
which folders decide what a path leads to), ``folder_tree`` (which folders are watched for that), ``meaning`` (what
notices mean); these are pure. ``contents`` (look at a path), ``folder_watches``, ``linked_files``, ``path_watches``
(the folders on the way to each path), ``polling``, ``subjects`` (the paths, their owners and contents),
``system_notices``, ``looking`` (the thread), ``watcher``.

May import ``roost.store.disk``.

Doors: methods, watcher.
"""
