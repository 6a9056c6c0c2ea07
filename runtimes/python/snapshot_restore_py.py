"""Hooks around a SnapStart snapshot, under the name and with the functions AWS's Python runtimes offer.

Before-snapshot hooks run in reverse order of registration, after-restore hooks in order. Both registration functions return
the function, so they serve as decorators.
"""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore
