"""The managed Python runtime: loads the handler, then serves invocations until the process ends.

Stack traces given to callers leave out leading frames of files named bootstrap.py, so this file's name matters.
"""

import importlib
import os
import sys

from . import hooks, logs, marshal, paths
from .client import RuntimeApiClient, RuntimeApiError

_XRAY_CAUSE_BYTES_MAX = 1024 * 1024
_NO_BREAK_SPACE = "\u00a0"
_REQUEST_TOO_LARGE = 413


class Fault(Exception):
    """A failure the runtime itself recognised; `kind` is the error type of the report."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


class _Invocation:
    """The invocation under way, for log records."""

    request_id = None
    tenant_id = None


def main(runtime_dir):
    control = os.environ.get("_LAMBDAD_SPARE")
    if control is not None:
        from . import spare

        spare.become_function(int(control))
    paths.set_up(runtime_dir)
    _add_interactive_builtins()
    # An event per line: what is written reaches the log at its line end, and at the end of the invocation at the latest.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)
    sink = logs.open_sink()
    invocation = _Invocation()
    hooks.after_import(
        {
            "logging": lambda module: _configure_logging(sink, invocation),
            "botocore.session": _configure_sdk,
        }
    )
    client = RuntimeApiClient(
        os.environ["AWS_LAMBDA_RUNTIME_API"], "lambdad-python/%d.%d.%d" % sys.version_info[:3]
    )
    Runtime(client, sink, invocation).run(os.environ["_HANDLER"])


def _configure_logging(sink, invocation):
    from . import log_setup

    log_setup.configure(sink, invocation)


def _configure_sdk(botocore_session):
    from . import sdk

    sdk.configure(botocore_session)


def _add_interactive_builtins():
    """exit() and quit(), which `site` would have added; functions do call them."""
    import builtins
    from _sitebuiltins import Quitter

    builtins.exit = Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = Quitter("quit", "Ctrl-D (i.e. EOF)")


def _ensures_ascii():
    """Results are ASCII up to Python 3.11 and raw UTF-8 from 3.12 on."""
    execution_env = os.environ.get("AWS_EXECUTION_ENV", "")
    minor = execution_env.rpartition("python3.")[2]
    return (int(minor) if minor.isdigit() else sys.version_info[1]) < 12


class Runtime:
    def __init__(self, client, sink, invocation):
        self._client = client
        self._sink = sink
        self._invocation = invocation
        self._encode = marshal.Encoder(_ensures_ascii()).encode
        self._encode_header = marshal.Encoder(ensure_ascii=True).encode

    def run(self, handler_name):
        """Never returns normally: ends with SystemExit, or with the error of a Runtime API that is gone."""
        handler = self._load(handler_name)
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            self._cross_snapshot()
        from .context import LambdaContext

        self._context_class = LambdaContext
        while True:
            headers, body = self._client.next_invocation()
            self._serve(handler, headers, body)

    def _load(self, handler_name):
        try:
            return find_handler(handler_name)
        except Fault as fault:
            report = _make_report(fault.message, fault.kind, fault.trace)
        except Exception:
            report = _report_exception(*sys.exc_info())[0]
        import logging

        from .messages import UNHANDLED_EXCEPTION_WARNING

        logging.warning(UNHANDLED_EXCEPTION_WARNING)
        self._log_error(report)
        self._flush()
        self._client.post_init_error(self._encode(report).encode("utf-8"), report["errorType"])
        sys.exit(1)

    def _cross_snapshot(self):
        import snapshot_restore_py

        try:
            before = snapshot_restore_py.get_before_snapshot()
            while before:  # last registered, first run
                function, args, kwargs = before.pop()
                function(*args, **kwargs)
            self._client.restore_next()
        except:  # noqa: E722  a hook that calls sys.exit() has failed too
            report = _report_exception(*sys.exc_info())[0]
            self._log_error(report)
            self._flush()
            self._client.post_init_error(self._encode(report).encode("utf-8"), "Runtime.BeforeSnapshotError")
            sys.exit(64)
        try:
            for function, args, kwargs in snapshot_restore_py.get_after_restore():
                function(*args, **kwargs)
        except:  # noqa: E722
            report = _report_exception(*sys.exc_info())[0]
            self._log_error(report)
            self._flush()
            self._client.post_restore_error(self._encode(report).encode("utf-8"), "Runtime.AfterRestoreError")
            sys.exit(65)

    def _serve(self, handler, headers, body):
        request_id = headers.get("lambda-runtime-aws-request-id")
        invocation_id = headers.get("lambda-runtime-invocation-id")
        self._invocation.request_id = request_id
        self._invocation.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)

        try:
            result, content_type = self.handle_event_request(handler, headers, body)
        except Fault as fault:
            report = _make_report(fault.message, fault.kind, fault.trace, request_id)
            cause = _make_xray_cause("LambdaValidationError", fault.message, [])
        except Exception:
            report, cause = _report_exception(*sys.exc_info(), request_id)
        else:
            self._flush()
            data = result if isinstance(result, bytes) else result.encode("utf-8")
            self._post_response(request_id, data, content_type, invocation_id)
            return

        self._log_error(report)
        self._flush()
        cause = self._encode_header(cause).replace("\x7f", "\\u007f")
        if len(cause) >= _XRAY_CAUSE_BYTES_MAX:
            cause = None
        error = self._encode(report).encode("utf-8")
        self._client.post_error(request_id, error, report["errorType"], cause, invocation_id)

    def handle_event_request(self, request_handler, headers, body):
        """Runs the handler. Returns (text or bytes, content type); raises Fault, or what the handler raised."""
        lambda_context = self._make_context(headers)
        event = _decode_event(headers, body)
        response = request_handler(event, lambda_context)
        if isinstance(response, bytes):
            return response, "application/unknown"
        try:
            return self._encode(response), "application/json"
        except Exception as error:
            raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from error

    def _make_context(self, headers):
        get = headers.get
        client_context = identity = None
        if "lambda-runtime-client-context" in headers:
            client_context = _parse_header(headers, "lambda-runtime-client-context", "Client Context")
        if "lambda-runtime-cognito-identity" in headers:
            identity = _parse_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity")
        return self._context_class(
            get("lambda-runtime-aws-request-id"),
            client_context,
            identity,
            int(get("lambda-runtime-deadline-ms") or 0),
            get("lambda-runtime-invoked-function-arn"),
            get("lambda-runtime-aws-tenant-id"),
        )

    def _post_response(self, request_id, data, content_type, invocation_id):
        try:
            self._client.post_response(request_id, data, content_type, invocation_id)
        except RuntimeApiError as error:
            # The platform has answered the caller with Function.ResponseSizeTooLarge; the environment lives on.
            if error.status != _REQUEST_TOO_LARGE:
                raise

    def _log_error(self, report):
        if logs.wants_json():
            import time

            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            text = self._encode({"timestamp": stamp, "level": "ERROR", **report})
            self._sink.log(text + self._sink.event_end, logs.ERROR, True)
            return
        kind, message = report["errorType"], report["errorMessage"]
        headline = "[ERROR]"
        if kind:
            headline += " " + kind
        if message:
            headline += (": " if kind else " ") + message
        lines = [headline, "Traceback (most recent call last):"]
        for entry in report["stackTrace"]:
            # Log readers trim leading blanks, which would flatten the trace.
            lines += [_with_fixed_indent(line) for line in entry.splitlines()] or [""]
        self._sink.log(self._sink.line_break.join(lines) + self._sink.event_end, logs.ERROR)

    def _flush(self):
        """Brings unfinished lines into the log before the platform learns that the invocation is over."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, ValueError):  # the function replaced or closed the stream
                pass


def find_handler(handler_name):
    """The function named `module.function`, where slashes in the module part separate packages. Raises Fault."""
    try:
        module_name, function_name = handler_name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (handler_name, error)) from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (module_name, error)
        raise Fault("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from error
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from None


def _parse_header(headers, name, title):
    text = headers[name]
    if not text:
        return None
    try:
        return marshal.loads(text.encode("utf-8"))
    except Exception as error:
        message = "Unable to parse %s JSON: %s" % (title, error)
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from error


def _decode_event(headers, body):
    if headers.get("content-type", "application/json") != "application/json":
        return body
    try:
        return marshal.loads(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from error


def _make_report(message, kind, stack_trace, request_id=""):
    return {
        "errorMessage": message or "",
        "errorType": kind or "",
        "requestId": request_id or "",
        "stackTrace": stack_trace or [],
    }


def _report_exception(kind, value, trace, request_id=""):
    """Returns (error report, X-Ray cause) with the frames of the function."""
    import traceback

    frames = traceback.extract_tb(trace)
    first = next((index for index, frame in enumerate(frames) if "/bootstrap.py" not in frame.filename), -1)
    frames = frames[first:]  # only ours: the one that called the handler
    entries = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames]
    report = _make_report(str(value), kind.__name__, traceback.format_list(entries), request_id)
    return report, _make_xray_cause(kind.__name__, str(value), entries)


def _make_xray_cause(kind, message, entries):
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in entries]
    return {
        "working_directory": os.getcwd(),
        "exceptions": [{"message": message, "type": kind, "stack": stack}],
        "paths": sorted({path for path, _, _, _ in entries}),
    }


def _with_fixed_indent(line):
    text = line.lstrip(" ")
    return _NO_BREAK_SPACE * (len(line) - len(text)) + text
