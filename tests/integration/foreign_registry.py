"""A registry of somebody else: read-only, with anonymous bearer tokens, layers behind a redirect."""

import http.server
import json
import threading
import urllib.parse

import images


class ForeignRegistry:
    """`served` is {(repository, tag): Image}. `closed` repositories give no token; `broken` blobs have other bytes.
    Layers are given out while `open` is set."""

    def __init__(self, served, closed=(), broken=()):
        self.images, self.closed, self.broken = served, set(closed), set(broken)
        self.requests = []
        self.open = threading.Event()
        self.open.set()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass  # who asked has been killed

            def do_GET(self):
                registry.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = "127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        self.requests.append(url.path)
        status, body, headers = self.find(url, request.headers)
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def find(self, url, headers):
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/token":
            repository = query["scope"].split(":")[1]
            if query["service"] != "foreign" or repository in self.closed:
                return 401, b"{}", {}
            return 200, json.dumps({"token": "secret-of-" + repository}).encode(), {}
        if url.path.startswith("/elsewhere/"):
            name = url.path.removeprefix("/elsewhere/")
            if any(name == images.digest(layer) for image in self.images.values() for layer in image.layers):
                self.open.wait(60)
            return 200, self.blob(name), {}
        repository, kind, item = url.path.removeprefix("/v2/").rsplit("/", 2)
        if headers.get("Authorization") != "Bearer secret-of-" + repository:
            challenge = 'Bearer realm="http://%s/token",service="foreign",scope="repository:%s:pull"' % (self.host, repository)
            return 401, b"{}", {"WWW-Authenticate": challenge}
        if kind == "manifests":
            for (name, tag), image in self.images.items():
                if name == repository and item in (tag, image.digest):
                    return 200, image.manifest, {"Content-Type": json.loads(image.manifest)["mediaType"]}
        if kind == "blobs" and self.blob(item) is not None:
            return 307, b"", {"Location": "http://%s/elsewhere/%s" % (self.host, item)}
        return 404, b"{}", {}

    def blob(self, digest):
        for image in self.images.values():
            if digest in image.blobs():
                data = image.blobs()[digest]
                return bytes([data[0] ^ 1]) + data[1:] if digest in self.broken else data
        return None
