"""A local HTTP server of one file that can fail in the ways that real ones do."""

import hashlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Files(BaseHTTPRequestHandler):
    """Answers with ``server.data``; ``server.script`` says how, one word for each request.

    good: with ranges; plain: without ranges; drop: half of the rest, then the connection ends;
    page: an HTML page; 404, 503: that status.
    """

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        how = server.script.pop(0) if server.script else "good"
        if how.isdigit():
            self.send_error(int(how))
            return
        data = b"<!DOCTYPE html><html>Quota exceeded</html>" if how == "page" else server.data
        tag = f'"{hashlib.sha256(data).hexdigest()[:8]}"'
        start = 0
        wanted = self.headers.get("Range")
        if wanted and how != "plain" and self.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        self.wfile.write(body[: len(body) // 2] if how == "drop" else body)
        if how == "drop":
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving(data):
    """A server of ``data`` on a free port, with attributes ``url``, ``script`` and ``requests``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.data, server.script, server.requests = data, [], []
    server.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
