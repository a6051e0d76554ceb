"""A headless chromium, driven over a pipe (Chrome DevTools Protocol): no port is open."""

import base64
import json
import os
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


class Browser:
    """A page of a headless browser, and everything that its console said."""

    def __init__(self, folder):
        ours, theirs = os.pipe(), os.pipe()  # it reads from 3 and writes to 4

        def connect():
            for place, end in enumerate((ours[0], theirs[1]), start=10):
                os.dup2(end, place)
            os.dup2(10, 3)
            os.dup2(11, 4)

        self._out, self._in = ours[1], os.fdopen(theirs[0], "rb")
        self._process = subprocess.Popen(
            [CHROMIUM, *QUIET, f"--user-data-dir={folder}"],
            preexec_fn=connect,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._count, self._buffer, self.said = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    _session = None

    def call(self, method, **params):
        self._count += 1
        request = {"id": self._count, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        while True:
            reply = self._read()
            if reply.get("id") == self._count:
                assert "error" not in reply, reply
                return reply["result"]
            self._note(reply)

    def _read(self):
        while b"\0" not in self._buffer:
            part = os.read(self._in.fileno(), 1 << 20)
            assert part, "the browser ended"
            self._buffer += part
        one, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(one)

    def _note(self, reply):
        method, params = reply.get("method"), reply.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(params)
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "about:")):
                self.said.append(url)

    def show(self, path, width=1400, dark=False, media=""):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=path.as_uri())
        end = time.monotonic() + 30
        while self.value("document.documentElement?.dataset.ready") != "yes":
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def value(self, expression):
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def picture(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        reply = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(reply["data"]))

    def pdf(self, path):
        reply = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(reply["data"]))

    def touch(self, selector, *steps):
        """Move one finger or several over an element.

        Args:
            selector: The element.
            steps: For each moment the fingers' places, as shares of its width and height.
        """
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        left, top, width, height = self.value(f"(b => [b.x, b.y, b.width, b.height])({box})")
        self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
        kind = "touchStart"
        for fingers in steps:
            points = []
            for number, (x, y) in enumerate(fingers):
                points.append({"x": left + x * width, "y": top + y * height, "id": number})
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            kind = "touchMove"
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)

    def press(self, key):
        """Press and release a key on what has the focus."""
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39}
        codes |= {"ArrowDown": 40}
        number = codes.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            named = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number}
            if text and kind == "keyDown":
                named["text"] = text
            self.call("Input.dispatchKeyEvent", **named)

    def click(self, selector, across, down):
        """Click an element at a place within it, as shares of its width and height."""
        box = self.value(
            f"(() => {{ const e = document.querySelector('{selector}');"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.left, b.top, b.width, b.height]; })()"
        )
        place = {"x": box[0] + across * box[2], "y": box[1] + down * box[3]}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def close(self):
        os.close(self._out)
        self._process.terminate()
        self._process.wait(20)
        self._in.close()
