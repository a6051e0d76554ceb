"""A good run file, and how a wrong one is reported, for the tests of run files."""

import pytest

from specloom import SpecloomError
from specloom.contract.errors import in_file_order, raise_all
from specloom.runfile.form import interpret
from specloom.runfile.overrides import override
from specloom.runfile.yaml import parse

GOOD = """\
specloom: 1
metadata: {name: toy, description: "", tags: [a, b], author: me}
seed: 3
data: {type: toy.Data}
nodes:
  rx: {type: toy.RX, config: {eps: 1e-6, windows: [[1, 2], [3, 4]]}}
  head: {type: Head, stages: [val, test]}
connections:
  - [rx.scores, head.scores]
phases:
  - {type: toy.Fit}
outputs: {scores: rx.scores}
"""


def good(*overrides, text=GOOD):
    document = parse(text, "run.yaml")
    for one in overrides:
        override(document, one)
    file, problems = interpret(document)
    raise_all(in_file_order(problems))
    return file


def reported(text, *overrides):
    with pytest.raises(SpecloomError) as caught:
        good(*overrides, text=text)
    return str(caught.value)
