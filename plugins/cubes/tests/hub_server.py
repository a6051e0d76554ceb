"""A local server that speaks the endpoints of the hub for one data set, and fails on request."""

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote, unquote, urlsplit

LARGE = 1000
"""Files of so many bytes or more are large ones, which the hub describes by their SHA-256."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Answers from ``server.revisions``: the files of each revision by name, the newest last.

    ``server.cut``: names of files whose next transfer ends in the middle. ``server.wrong``: bytes
    that are sent instead of a file. ``server.answer``: a status for every request.
    ``server.moved``: a former name of the data set, which redirects to the present one.
    """

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        path = unquote(urlsplit(self.path).path)
        server.requests.append((self.command, path, self.headers.get("Range")))
        if server.answer is not None:
            self.fail(server.answer)
            return
        if server.moved and server.moved in path:
            self.redirect(path.replace(server.moved, server.repository))
            return
        api = f"/api/datasets/{server.repository}"
        files = f"/datasets/{server.repository}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            self.describe(path.removeprefix(api).removeprefix("/revision/"))
        elif path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            self.send_file(revision, name)
        else:
            self.fail(404, "RepoNotFound")

    def describe(self, revision):
        revisions = self.server.revisions
        if revision in ("", "main"):
            revision = list(revisions)[-1]
        if revision not in revisions:
            self.fail(404, "RevisionNotFound")
            return
        siblings = []
        for name, data in revisions[revision].items():
            one = {"rfilename": name, "size": len(data), "blobId": blob(data)}
            if len(data) >= LARGE:
                one["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            one.update(self.server.stated.get(name, {}))
            siblings.append(one)
        values = {
            "id": self.server.repository,
            "sha": revision,
            "siblings": siblings,
            "cardData": {"license": "apache-2.0"},
            "private": False,
            "tags": [],
        }
        self.send(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def send_file(self, revision, name):
        server = self.server
        if revision not in server.revisions:
            self.fail(404, "RevisionNotFound")
            return
        data = server.revisions[revision][name]
        headers = {"X-Repo-Commit": revision, "ETag": f'"{blob(data)}"'}
        if len(data) >= LARGE:
            headers |= {"X-Linked-Etag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))}
        data = server.wrong.get(name, data)
        start = 0
        wanted = self.headers.get("Range")
        if wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = self.command == "GET" and name in server.cut
        if cut:
            server.cut.remove(name)
        self.send(206 if start else 200, data[start:], headers, cut)

    def send(self, status, body, headers, cut=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def redirect(self, path):
        query = urlsplit(self.path).query
        location = f"{self.server.url}{quote(path)}{'?' if query else ''}{query}"
        self.send(307, b"", {"Location": location})

    def fail(self, status, code=""):
        self.send(status, b"{}", {"X-Error-Code": code} if code else {})

    def log_message(self, *_):
        pass


@contextmanager
def serving(repository, revisions):
    """A server of a data set on a free port of this machine; ``url`` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.repository = repository
    server.revisions = dict(revisions)
    server.requests = []
    server.cut = []
    server.wrong = {}
    server.stated = {}
    server.answer = None
    server.moved = None
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
