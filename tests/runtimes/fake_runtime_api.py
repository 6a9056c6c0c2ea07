"""A Runtime API that hands out scripted invocations and records every request it gets."""

import base64
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Invocation:
    """One scripted answer to `next`, and how the runtime's answer to it is received."""

    body: bytes = b"{}"
    headers: dict = field(default_factory=dict)
    response_status: int = 202
    chunked: bool = False  # deliver the event in chunks
    close_after: bool = False  # answer the runtime's response with Connection: close


@dataclass
class Request:
    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes
    trailers: dict
    sends: int  # how many reads it took to get all of a buffered request
    connection: int


class FakeRuntimeApi:
    """Serves on a free loopback port from start() until stop(); `done` is set when the last invocation was answered."""

    def __init__(self, invocations):
        self.requests = []
        self.done = threading.Event()
        self.first_next_at = None
        self._invocations = list(invocations)
        self._answered = 0
        self._handed_out = -1
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        # A thread blocked in accept() keeps the socket open; shutdown wakes it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    @staticmethod
    def request_id(index):
        return "00000000-0000-4000-8000-%012d" % index

    def _accept(self):
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()
            number += 1

    def _serve(self, connection, number):
        reader = _Reader(connection)
        try:
            while True:
                request = reader.read_request()
                if request is None:
                    return
                request.connection = number
                self._answer(connection, request)
        except (OSError, ValueError):
            return
        finally:
            connection.close()

    def _answer(self, connection, request):
        with self._lock:
            self.requests.append(request)
        path = request.path.removeprefix("/2018-06-01/runtime/")
        if request.method == "GET" and path == "invocation/next":
            self._hand_out(connection)
        elif request.method == "GET" and path == "restore/next":
            _send(connection, 200, {}, b"")
        elif path in ("init/error", "restore/error"):
            _send(connection, 202, {}, b'{"status":"OK"}')
        else:
            invocation = self._invocations[int(path.split("/")[1][-12:])]
            extra = {"Connection": "close"} if invocation.close_after else {}
            with self._lock:
                self._answered += 1
                last = self._answered == len(self._invocations)
            _send(connection, invocation.response_status, extra, b'{"status":"OK"}')
            if last:
                self.done.set()
            if invocation.close_after:
                raise OSError("closing")  # whatever the client has sent behind it is not served

    def _hand_out(self, connection):
        if self.first_next_at is None:
            self.first_next_at = time.perf_counter()
        self._handed_out += 1
        index = self._handed_out
        if index >= len(self._invocations):
            self.done.set()
            return  # as the real one: no answer until there is an invocation
        invocation = self._invocations[index]
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id(index),
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 60000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-00000000000000000000000%d;Sampled=0" % index,
            **invocation.headers,
        }
        headers = {name: value for name, value in headers.items() if value is not None}
        _send(connection, 200, headers, invocation.body, invocation.chunked)


class _Reader:
    def __init__(self, connection):
        self._connection = connection
        self._data = b""
        self._reads = 0

    def _more(self):
        part = self._connection.recv(1 << 20)
        self._reads += 1
        if not part:
            raise OSError("closed")
        self._data += part

    def _until(self, mark):
        while mark not in self._data:
            self._more()
        head, self._data = self._data.split(mark, 1)
        return head

    def _exactly(self, size):
        while len(self._data) < size:
            self._more()
        head, self._data = self._data[:size], self._data[size:]
        return head

    def read_request(self):
        self._reads = 0
        try:
            head = self._until(b"\r\n\r\n").decode("utf-8", "surrogateescape")
        except OSError:
            return None
        request_line, *lines = head.split("\r\n")
        method, path, _ = request_line.split(" ")
        headers = _parse_fields(lines)
        trailers = {}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self._until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    break
                body += self._exactly(size)
                if self._exactly(2) != b"\r\n":
                    raise ValueError("chunk without end")
            lines = []
            while True:
                line = self._until(b"\r\n").decode("utf-8")
                if not line:
                    break
                lines.append(line)
            trailers = _parse_fields(lines)
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        return Request(method, path, headers, body, trailers, self._reads, 0)


def _parse_fields(lines):
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _send(connection, status, headers, body, chunked=False):
    lines = ["HTTP/1.1 %d %s" % (status, {200: "OK", 202: "Accepted"}.get(status, "Refused"))]
    lines += ["%s: %s" % item for item in headers.items()]
    if chunked:
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    else:
        lines.append("Content-Length: %d" % len(body))
    connection.sendall("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body)


def decode_error_body(trailers):
    """The JSON text in a stream's error trailers."""
    return base64.b64decode(trailers["lambda-runtime-function-error-body"]).decode("utf-8")
