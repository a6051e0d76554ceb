"""Mistakes in the use of the Python API: type checkers find each marked line, and no other."""

from specloom import Pipeline
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_rx import RXGlobl  # mistake: a misspelt class

pipeline = Pipeline("mistakes")
rx = RXGlobal(name="rx")
logits = ScoreToLogit(name="logits")
pipeline.connect((rx.scoers, logits.scores))  # mistake: a misspelt output
pipeline.connect((rx.data, logits.scores))  # mistake: an input where an output belongs
pipeline.connect(rx.scores, logits.scoers)  # mistake: a misspelt input
pipeline.connect((rx.outputs.scores, logits.outputs.logits))  # mistake: an output as the end
RXGlobal(epz=1.0)  # mistake: a misspelt parameter
RXGlobal(eps="a")  # mistake: a parameter of another type
ScoreToLogit(nam="x")  # mistake: a misspelt name
