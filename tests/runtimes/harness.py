"""Runs a function under a runtime client against the fake Runtime API, and reduces what happened to a comparable transcript."""

import hashlib
import json
import os
import re
import subprocess
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

from fake_runtime_api import FakeRuntimeApi, Invocation, decode_error_body

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIMES = REPOSITORY / "runtimes"
PATIENCE_SECONDS = 30


@dataclass
class Case:
    """A function and the invocations it gets."""

    name: str
    files: dict  # path below the task root -> source text
    invocations: list = field(default_factory=lambda: [Invocation()])
    handler: str = "index.handler"
    env: dict = field(default_factory=dict)
    exits: bool = False  # the process ends by itself


@dataclass
class Run:
    """What happened, raw."""

    requests: list
    exit_code: int
    stdout: str
    stderr: str
    seconds_to_first_next: float

    def posts(self):
        return [request for request in self.requests if request.method == "POST"]


def invocation(event=None, **options):
    return Invocation(json.dumps(event if event is not None else {}).encode(), **options)


def run_case(case, make_argv, execution_env, pass_fds=()):
    """`make_argv(task_root)` gives the command line of the client under test."""
    with tempfile.TemporaryDirectory(prefix="lambdad-runtime-") as directory:
        task_root = Path(os.path.realpath(directory)) / "task"
        task_root.mkdir()
        for name, source in case.files.items():
            path = task_root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        api = FakeRuntimeApi(case.invocations)
        api.start()
        try:
            return _run_against(api, case, make_argv(str(task_root)), task_root, execution_env, pass_fds)
        finally:
            api.stop()


def _run_against(api, case, argv, task_root, execution_env, pass_fds):
    environment = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % api.port,
        "_HANDLER": case.handler,
        "LAMBDA_TASK_ROOT": str(task_root),
        "AWS_EXECUTION_ENV": execution_env,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
        "AWS_REGION": "us-east-1",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(task_root.parent),
        **{name: value.replace("$TASK", str(task_root)) for name, value in case.env.items()},
    }
    started_at = time.perf_counter()
    process = subprocess.Popen(
        argv,
        cwd=task_root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
    )
    try:
        if not case.exits:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not api.done.wait(0.01) and process.poll() is None and time.monotonic() < deadline:
                pass
            _wait_for_next(api, len(case.invocations), process)
            process.terminate()
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError("%s did not end by itself; it wrote %r and %r" % (case.name, stdout, stderr)) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    seconds = api.first_next_at - started_at if api.first_next_at else None
    return Run(
        list(api.requests),
        process.returncode,
        stdout.decode("utf-8", "backslashreplace").replace(str(task_root), "/var/task"),
        stderr.decode("utf-8", "backslashreplace").replace(str(task_root), "/var/task"),
        seconds,
    )


def _wait_for_next(api, invocation_count, process):
    """After the last answer the client asks for more; by then everything it logs is written."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        nexts = sum(request.path.endswith("/next") and "restore" not in request.path for request in list(api.requests))
        if nexts > invocation_count:
            return
        time.sleep(0.002)


def transcript(run):
    """The comparable part of a run: posts without volatile parts, log lines, exit code."""
    return {
        "exit": 0 if run.exit_code == -15 else run.exit_code,  # -15: ended by the harness
        "posts": [_comparable_post(request) for request in run.posts()],
        "log": [comparable_line(line) for line in run.stdout.split("\n")],
    }


def _comparable_post(request):
    post = {"path": request.path, "body": _comparable_body(request.body)}
    headers = request.headers
    if request.path.endswith("init/error") or request.path.endswith("restore/error"):
        post["error type"] = headers.get("lambda-runtime-function-error-type")
    cause = headers.get("lambda-runtime-function-xray-error-cause")
    if cause is not None:
        post["x-ray cause"] = _comparable_cause(cause)
    if "lambda-runtime-function-response-mode" in headers:
        post["mode"] = headers["lambda-runtime-function-response-mode"]
        post["content type"] = headers.get("content-type")
        post["transfer"] = headers.get("transfer-encoding")
        post["trailer"] = headers.get("trailer")
    elif request.path.endswith("/response"):
        post["content type"] = headers.get("content-type")
    if request.trailers:
        post["trailers"] = {
            "type": request.trailers["lambda-runtime-function-error-type"],
            "body": _comparable_body(decode_error_body(request.trailers).encode()),
        }
    return post


def _comparable_body(body):
    if len(body) > 65536:
        return "%d bytes, sha256 %s" % (len(body), hashlib.sha256(body).hexdigest())
    text = body.decode("utf-8", "backslashreplace")
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: dict(pairs))
    except ValueError:
        return comparable_line(text)
    if isinstance(value, dict) and ("stackTrace" in value or "trace" in value):
        for key in ("stackTrace", "trace"):
            if key in value:
                value[key] = _function_frames(value[key])
        return comparable_line(json.dumps(value, ensure_ascii=False))
    return comparable_line(text)


_CLIENT_FILE = r"(/index\.mjs|official_node\.mjs|bootstrap\.cjs|/lib/[a-z_]+\.cjs|node:[a-z_]+)"
_RUNTIME_FRAME = re.compile(
    r"at .*" + _CLIENT_FILE + r"|- .*/index\.mjs|- /tmp/[^ ]*\.mjs|importlib|bootstrap\.py|hooks_runner|processTicksAndRejections"
)


def _function_frames(lines):
    """Frames of the function alone: those of the client and of the interpreter are its own business."""
    return [line for line in lines if not _RUNTIME_FRAME.search(line)]


def _comparable_cause(text):
    cause = json.loads(text)
    for exception in cause["exceptions"]:
        exception["stack"] = [
            frame for frame in exception["stack"] if frame["path"] and frame["path"].find("/task/") >= 0
        ]
    cause["paths"] = sorted(path for path in cause["paths"] if path and "/task/" in path)
    return comparable_line(json.dumps(cause, sort_keys=True))


def comparable_line(line):
    line = re.sub(r"/tmp/lambdad-runtime-[^/]+/task", "/var/task", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", lambda m: "<time.ms>" if m[1] else "<time>", line)
    line = re.sub(r"(\r[\u00a0 ]*(File \"[^\"]*importlib|File \"<frozen|return _bootstrap)[^\r]*)+", "", line)
    line = re.sub(r"\r[\u00a0 ]*File \"[^\"]*hooks_runner[^\r]*\r[^\r]*", "", line)
    line = re.sub(r'File "[^"]*/bootstrap.py", line \d+', 'File "bootstrap.py"', line)
    line = re.sub(r'(,"|\\n|\r)    at [^"\\\r]*' + _CLIENT_FILE + r'[^"\\\r]*"?', "", line)
    line = re.sub(r"at [A-Za-z]+\.handler ", "at handler ", line)
    line = re.sub(r'(as json: SyntaxError): [^"]*', r"\1", line)  # V8 words it differently in every major version
    line = re.sub(r"Require stack:((\\n|\r|\n)- [^\\\r\n\"]*|\",\"- [^\"]*)+", "Require stack", line)
    line = re.sub(r"requireStack\":\[[^\]]*\]", 'requireStack":[]', line)
    return line
