"""Where log events go: standard output, or a descriptor with framed events."""

import os
import sys
import time

# Frame types of the telemetry descriptor: the base marks text or JSON, bits 2 to 4 carry the level (0 = none).
_TEXT = 0xA55A0003
_JSON = 0xA55A0002
_LEVEL_BITS = {0: 0x00, 10: 0x08, 20: 0x0C, 30: 0x10, 40: 0x14, 50: 0x18}

ERROR = 40


def wants_json():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def level_name():
    """The level asked for by AWS_LAMBDA_LOG_LEVEL as `logging` names it, or "" for none."""
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    return "DEBUG" if level == "TRACE" else level.upper()


class StandardSink:
    """Standard output. Lines of one event are separated by \\r, which the log reader turns back into line breaks."""

    line_break = "\r"
    event_end = "\n"

    def log(self, message, level=None, as_json=False):
        sys.stdout.write(message)


class FramedSink:
    """Events as type (4 bytes), length (4), microseconds since the epoch (8), text; big-endian."""

    line_break = "\n"
    event_end = ""

    def __init__(self, fd):
        self._fd = fd

    def log(self, message, level=None, as_json=False):
        data = message.encode("utf-8")
        kind = (_JSON if as_json else _TEXT) | _LEVEL_BITS.get(level, 0)
        stamp = time.time_ns() // 1000
        frame = kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + stamp.to_bytes(8, "big") + data
        while frame:
            frame = frame[os.write(self._fd, frame) :]


def open_sink():
    """The sink of this process. Takes _LAMBDA_TELEMETRY_LOG_FD out of the environment, as the function must not see it."""
    fd = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    return FramedSink(int(fd)) if fd is not None else StandardSink()
