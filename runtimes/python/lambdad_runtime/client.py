"""Runtime API client: HTTP/1.1 over one kept-alive TCP connection.

One send per request (headers and body together), no time limit on `next`. The answer to an invocation and the `next` after it
leave in one send, which spares a round trip per invocation: nothing of the function runs between the two anyway. `_socket` is
used without the `socket` module around it, which would cost as much to import as the rest of the runtime.

Failures: RuntimeApiError for an answer other than the expected one and for a connection lost while waiting; OSError when
nobody listens. Either means that the execution environment is over: nothing here retries except a request on a kept-alive
connection that the server had closed meanwhile, which is sent again once on a new one.
"""

import _socket

_API = "/2018-06-01/runtime/"
_RECEIVE_BYTES = 65536


class RuntimeApiError(Exception):
    """The Runtime API refused a request, or its connection broke."""

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class _ConnectionLost(Exception):
    """The peer closed the connection before the first byte of an answer."""


class RuntimeApiClient:
    def __init__(self, address, user_agent):
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        self._common_headers = "Host: %s\r\nUser-Agent: %s\r\n" % (address, user_agent)
        self._next_request = self._head("GET", "invocation/next", "") + b"\r\n"
        self._socket = None
        self._buffer = b""
        self._asked_for_next = False  # `next` is on its way on the open connection

    def next_invocation(self):
        """Waits for an invocation. Returns (headers, body): names in lower case, body as bytes."""
        status, headers, body = self._take_next() or self._exchange(self._next_request)
        if status != 200:
            raise RuntimeApiError("Failed to get next invocation. Http Response code: %d" % status, status)
        return headers, body

    def post_response(self, request_id, body, content_type, invocation_id=None):
        """Sends the answer, and asks for the next invocation."""
        self._post("invocation/%s/response" % request_id, body, content_type, _echo(invocation_id), self._next_request)

    def post_error(self, request_id, body, error_type, xray_cause, invocation_id=None):
        """Sends the error, and asks for the next invocation."""
        headers = _error_type_header(error_type) + _echo(invocation_id)
        if xray_cause:
            headers += "Lambda-Runtime-Function-XRay-Error-Cause: %s\r\n" % xray_cause
        self._post("invocation/%s/error" % request_id, body, "application/json", headers, self._next_request)

    def post_init_error(self, body, error_type):
        self._post("init/error", body, "application/json", _error_type_header(error_type))

    def restore_next(self):
        """Blocks while a snapshot is taken; returns in the restored process."""
        request = self._head("GET", "restore/next", "") + b"\r\n"
        status, _, body = self._exchange(request)
        if status != 200:
            raise RuntimeApiError("restore/next failed with %d: %r" % (status, body), status)

    def post_restore_error(self, body, error_type):
        self._post("restore/error", body, "application/json", _error_type_header(error_type))

    def _head(self, method, path, headers):
        text = "%s %s%s HTTP/1.1\r\n%s%s" % (method, _API, path, self._common_headers, headers)
        return text.encode("utf-8")

    def _post(self, path, body, content_type, headers, following=b""):
        head = "POST %s%s HTTP/1.1\r\n%s%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
            _API,
            path,
            self._common_headers,
            headers,
            content_type,
            len(body),
        )
        request = b"".join((head.encode("utf-8"), body, following))
        status, _, answer = self._exchange(request)
        self._asked_for_next = bool(following) and self._socket is not None
        if status != 202:
            raise RuntimeApiError("%s failed with %d: %r" % (path, status, answer), status)

    def _take_next(self):
        """The answer to the `next` that is on its way; None when there is none, or its connection was closed before it."""
        if not self._asked_for_next:
            return None
        self._asked_for_next = False
        try:
            return self._read_answer()
        except (_ConnectionLost, ConnectionError):
            self._close()
            return None

    def _exchange(self, request):
        if self._socket is not None:
            try:
                return self._exchange_once(request)
            except (_ConnectionLost, ConnectionError):
                self._close()
        self._connect()
        try:
            return self._exchange_once(request)
        except _ConnectionLost:
            raise RuntimeApiError("the Runtime API closed the connection") from None

    def _exchange_once(self, request):
        self._socket.sendall(request)
        return self._read_answer()

    def _connect(self):
        connection = _socket.socket(self._family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        connection.connect(self._address)
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._socket = connection
        self._buffer = b""

    def _close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer = b""

    def _receive(self):
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise RuntimeApiError("the Runtime API closed the connection inside an answer")
        return data

    def _read_answer(self):
        buffer = self._buffer
        if not buffer:
            buffer = self._socket.recv(_RECEIVE_BYTES)
            if not buffer:
                raise _ConnectionLost()
        end = buffer.find(b"\r\n\r\n")
        while end < 0:
            buffer += self._receive()
            end = buffer.find(b"\r\n\r\n")

        lines = buffer[:end].decode("utf-8", "replace").split("\r\n")
        status = int(lines[0][9:12])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip(" \t")

        rest = buffer[end + 4 :]
        if "transfer-encoding" in headers and "chunked" in headers["transfer-encoding"].lower():
            body, self._buffer = self._read_chunks(rest)
        else:
            size = int(headers.get("content-length", "0"))
            if len(rest) == size:
                body, self._buffer = rest, b""
            else:
                body, self._buffer = self._read_exactly(rest, size)
        if "connection" in headers and headers["connection"].lower() == "close":
            self._close()
        return status, headers, body

    def _read_exactly(self, data, size):
        """Returns (the first `size` bytes, what followed them), reading more as needed."""
        if len(data) < size:
            parts = [data]
            missing = size - len(data)
            while missing > 0:
                part = self._receive()
                parts.append(part)
                missing -= len(part)
            data = b"".join(parts)
        return data[:size], data[size:]

    def _read_line(self, data):
        end = data.find(b"\r\n")
        while end < 0:
            data += self._receive()
            end = data.find(b"\r\n")
        return data[:end], data[end + 2 :]

    def _read_chunks(self, data):
        body = []
        while True:
            line, data = self._read_line(data)
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                break
            chunk, data = self._read_exactly(data, size + 2)
            body.append(chunk[:-2])
        while line:  # trailers, up to the empty line
            line, data = self._read_line(data)
        return b"".join(body), data


def _error_type_header(error_type):
    # A class may be called anything; a header may not contain anything.
    safe = "".join(char if " " <= char <= "~" else "?" for char in error_type)
    return "Lambda-Runtime-Function-Error-Type: %s\r\n" % safe


def _echo(invocation_id):
    return "Lambda-Runtime-Invocation-Id: %s\r\n" % invocation_id if invocation_id else ""
