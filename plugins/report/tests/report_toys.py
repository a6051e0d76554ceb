"""What the tests of reports share: runs as the command line makes them, and pages held to HTML."""

from html.parser import HTMLParser
from pathlib import Path

import specloom
from specloom import impl

CONFIGS = Path(__file__).parents[3] / "configs"
SMALL = ["data.config.scenes=12", "data.config.height=40", "data.config.width=40"]
VOID = {"meta", "link", "img", "br"}


class Checked(HTMLParser):
    """Holds a page to closing what it opens, and collects what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.references = [], [], [], []
        self.feed(text.replace("<wbr>", ""))  # where a name may break
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


class Heard:
    def __init__(self):
        self.warnings = []

    @impl
    def warned(self, message):
        self.warnings.append(message)


def made(folder, file="rx_statistical.yaml", *overrides, plugins=None):
    """A run from a file as the command line makes one, and what it was warned of."""
    plugins = plugins or specloom.Plugins()
    run = specloom.load(
        CONFIGS / file, [*SMALL, *overrides], plugins=plugins, device="cpu", observed=True
    )
    run.folder, heard = folder, Heard()
    run.plugins.add("heard", heard)
    return run, heard
