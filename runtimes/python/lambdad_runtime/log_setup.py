"""Prepares the root logger the way the managed runtimes do, as soon as `logging` has been imported."""

import logging
import time

from . import logs

_JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TEXT_TIME = "%Y-%m-%dT%H:%M:%S"
_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"

# Attributes of every record; whatever else a record has came through `extra` and belongs into a JSON event.
_STANDARD_ATTRIBUTES = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created msecs "
    "relativeCreated thread threadName processName process aws_request_id tenant_id _frame_type".split()
)


def _rounded_level(record):
    return min(50, max(0, record.levelno)) // 10 * 10


class RuntimeLogHandler(logging.Handler):
    """Hands formatted records to the sink, with their level when `leveled`."""

    def __init__(self, log_sink, leveled, as_json):
        super().__init__()
        self.log_sink = log_sink
        self._leveled = leveled
        self._as_json = as_json

    def emit(self, record):
        text = self.format(record)
        if self._leveled:
            self.log_sink.log(text, _rounded_level(record), self._as_json)
        else:
            self.log_sink.log(text)


class InvocationFilter(logging.Filter):
    """Adds the request and tenant of the invocation under way to each record."""

    def __init__(self, invocation):
        super().__init__()
        self._invocation = invocation

    def filter(self, record):
        record.aws_request_id = self._invocation.request_id or ""
        record.tenant_id = self._invocation.tenant_id
        return True


class JsonFormatter(logging.Formatter):
    def __init__(self):
        super().__init__(datefmt=_JSON_TIME)
        import json

        # Values JSON cannot hold are written as str(value) rather than losing the event.
        self._encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def format(self, record):
        record.levelno = _rounded_level(record)
        record.levelname = logging.getLevelName(record.levelno)
        plain_dict = isinstance(record.msg, dict) and not record.args
        event = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if plain_dict else record.getMessage(),
            "logger": record.name,
            "stackTrace": None,
            "errorType": None,
            "errorMessage": None,
            "requestId": getattr(record, "aws_request_id", None),
            "location": None,
        }
        if record.exc_info:
            import traceback

            kind, value, trace = record.exc_info
            event["stackTrace"] = traceback.format_tb(trace)
            event["errorType"] = kind.__name__
            event["errorMessage"] = str(value)
            event["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        tenant_id = getattr(record, "tenant_id", None)
        if tenant_id is not None:
            event["tenantId"] = tenant_id
        for name, value in record.__dict__.items():
            if name not in _STANDARD_ATTRIBUTES and name not in event:
                event[name] = value
        return self._encode({name: value for name, value in event.items() if value is not None}) + "\n"


def configure(sink, invocation):
    """Adds the runtime's handler to the root logger. `invocation` has request_id and tenant_id, read at each record."""
    logging.Formatter.converter = time.gmtime
    as_json = logs.wants_json()
    level = logs.level_name()
    handler = RuntimeLogHandler(sink, as_json or bool(level), as_json)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT_FORMAT, _TEXT_TIME))
    handler.addFilter(InvocationFilter(invocation))
    root = logging.getLogger()
    if level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)
