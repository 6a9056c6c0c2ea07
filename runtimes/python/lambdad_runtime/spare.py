"""Waiting, with everything loaded that does not depend on the function, to be told which function this process is.

What the function can observe is as if the process had been started for it; runtimes/README.md, "Spares", has the list of
differences. The other end of the control socket is read and written by lambdad only.
"""

import importlib
import os
import posix
import sys

# Of the standard library, what most functions and the AWS SDK import. Nothing here reads the environment when it is
# imported, or keeps random state.
PRELOADED = ("base64", "collections", "contextlib", "copy", "datetime", "functools", "json", "logging", "re", "socket", "time")

# The runtime's own, but for `context`, which reads the environment.
_RUNTIME = ("client", "hooks", "log_setup", "logs", "marshal", "messages", "paths")

_READY = b"R"
_RECEIVE_BYTES = 65536


def become_function(control):
    """`control`: the descriptor. Returns as the function's process; ends the process when lambdad does not want it."""
    for name in _RUNTIME:
        importlib.import_module("lambdad_runtime." + name)
    for name in PRELOADED:
        importlib.import_module(name)
    os.write(control, _READY)
    block = b""
    while not block.endswith(b"\0\0"):
        received = os.read(control, _RECEIVE_BYTES)
        if not received:
            os._exit(0)
        block += received
    os.close(control)
    _take_over(block[:-1])
    # The function's directory now stands where this process was started.
    os.chdir("/var/task")
    # What was looked for in vain before the function's files were there. importlib.invalidate_caches() would load more.
    sys.path_importer_cache.clear()


def _take_over(block):
    """Makes the environment that of `block`: NAME=VALUE, each ended by a NUL."""
    variables = dict(entry.split(b"=", 1) for entry in block[:-1].split(b"\0"))
    # An interpreter without a locale of its own sets this at its start (PEP 538).
    coerced = os.environb.get(b"LC_CTYPE")
    if coerced is not None:
        variables.setdefault(b"LC_CTYPE", coerced)
    os.environ.clear()
    for name, value in variables.items():
        os.environb[name] = value
    posix.environ.clear()
    posix.environ.update(variables)
    # Nothing points into the first environment any more: /proc/self/environ shows the new one.
    with open("/proc/self/stat", "rb", 0) as file:
        fields = file.read(4096).rpartition(b")")[2].split()
    begin, end = int(fields[47]), int(fields[48])
    if len(block) <= end - begin:
        memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        os.pwrite(memory, block.ljust(end - begin, b"\0"), begin)
        os.close(memory)
