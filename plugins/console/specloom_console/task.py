"""How far one task is, how fast it goes, and how long it will take."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

WINDOW = 60.0
"""The seconds that the rate is about: what was slow or fast before does not count."""
MARK_INTERVAL = 1.0
"""Seconds between two moments of which the steps that were done are known."""


def duration(seconds: float) -> str:
    """A length of time, to two units.

    >>> duration(0.4), duration(12.3), duration(200), duration(3900)
    ('under 1 s', '12 s', '3 min 20 s', '1 h 05 min')
    """
    if seconds < 1:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_left = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {seconds_left:02} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02} min"


def frequency(per_second: float) -> str:
    """A rate, per minute where it is slow.

    >>> frequency(1234.5), frequency(8.13), frequency(0.25)
    ('1234/s', '8.1/s', '15/min')
    """
    if per_second >= 10:
        return f"{per_second:.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    return f"{60 * per_second:.2g}/min"


@dataclass
class Task:
    """Steps of one kind, of which some are done.

    The rate is that of the last minute. It counts from the first step that was reported, whose own
    beginning is not known unless it was step 0: a task around other tasks is first reported when
    its first step ends.

    Args:
        what: What is being done.
        started: When it was first reported, in seconds.
        base: The steps that were done then.
        total: The number of steps, or None where it is not known.
        done: The steps done by now.
        now: When the last one ended, in seconds.
        before: The seconds between the event before the first report and that report.
        failed: The steps that failed.
        workers: The workers that do it; 0 where this process does.
        lost: The workers that were lost.
    """

    what: str
    started: float
    base: int
    total: int | None
    done: int
    now: float
    before: float = 0.0
    failed: int = 0
    workers: int = 0
    lost: int = 0
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take in how far it is now."""
        marks = self._marks
        if not marks:
            marks.append((self.started, self.base))
        if self.now - marks[-1][0] >= MARK_INTERVAL:
            marks.append((self.now, self.done))
        while len(marks) > 1 and marks[1][0] <= now - WINDOW:
            marks.popleft()
        self.done = done
        self.total = total
        self.now = now

    @property
    def seconds(self) -> float:
        """How long it has taken, as far as is known."""
        return self.now - self.started + self.before

    @property
    def rate(self) -> float:
        """Steps a second in the last minute; 0 while it is not known."""
        if not self._marks:
            return self.mean_rate
        since, done = self._marks[0]
        return _per_second(self.done - done, self.now - since)

    @property
    def mean_rate(self) -> float:
        """Steps a second from the first report on; 0 while it is not known."""
        return _per_second(self.done - self.base, self.now - self.started)

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return self.total is not None and self.done >= self.total

    def pace(self, width: int | None = None) -> str:
        """How far it is, its rate, the time left, its workers and how many steps failed.

        Args:
            width: The characters that there are; where they are few, workers are left out, and
                then the rate.

        >>> Task("inputs", started=0, base=0, total=9000, done=4210, now=60, failed=1).pace()
        '4,210 of 9,000, 70/s, 1 min 08 s left, 1 failed'
        >>> task = Task("inputs", started=0, base=0, total=9000, done=4210, now=60, workers=2)
        >>> task.pace()
        '4,210 of 9,000, 70/s, 1 min 08 s left, 2 workers'
        >>> task.lost = 3
        >>> task.pace()
        '4,210 of 9,000, 70/s, 1 min 08 s left, 2 workers (3 lost)'
        >>> task.pace(40), task.pace(30)
        ('4,210 of 9,000, 70/s, 1 min 08 s left', '4,210 of 9,000, 1 min 08 s left')
        >>> Task("fit", started=0, base=0, total=40, done=10, now=5).pace()
        '10 of 40, 2.0/s, 15 s left'
        >>> Task("read", started=0, base=0, total=None, done=10, now=5).pace()
        '10, 2.0/s'
        """
        rate = ""
        if self.rate > 0:
            rate = frequency(self.rate)
        workers = self._workers_text()
        parts = [self._done_text(), rate, self._left_text(), workers, self._failed_text()]
        for optional in (workers, rate):
            if width is None or len(_listed(parts)) <= width:
                break
            parts[parts.index(optional)] = ""
        return _listed(parts)

    def _done_text(self) -> str:
        if self.total is None:
            return f"{self.done:,}"
        return f"{self.done:,} of {self.total:,}"

    def _left_text(self) -> str:
        """The time left; empty where it is not known."""
        if self.total is None or self.rate <= 0:
            return ""
        steps_left = max(0, self.total - self.done)
        return f"{duration(steps_left / self.rate)} left"

    def _workers_text(self) -> str:
        """How many workers there are, and were lost; empty where this process does the work."""
        if not self.workers and not self.lost:
            return ""
        text = "1 worker" if self.workers == 1 else f"{self.workers:,} workers"
        if self.lost:
            text += f" ({self.lost:,} lost)"
        return text

    def _failed_text(self) -> str:
        return f"{self.failed:,} failed" if self.failed else ""

    def summary(self) -> str:
        """How far it came, in one line; its duration where the beginning is known.

        >>> Task("fit", started=0, base=0, total=40, done=40, now=20).summary()
        'fit: 40 in 20 s, 2.0/s'
        >>> Task("epochs", started=0, base=1, total=21, done=21, now=200).summary()
        'epochs: 21, 6/min'
        >>> Task("fit", started=0, base=0, total=40, done=10, now=5).summary()
        'fit: stopped at 10 of 40'
        """
        if self.total is not None and not self.complete:
            return f"{self.what}: stopped at {self.done:,} of {self.total:,}"
        text = f"{self.what}: {self.done:,}"
        if self.base == 0:
            text += f" in {duration(self.seconds)}"
        if self.mean_rate > 0:
            text += f", {frequency(self.mean_rate)}"
        if self.failed:
            text += f", {self.failed:,} failed"
        return text


def _listed(parts: Iterable[str]) -> str:
    """Those parts that say something, separated by commas."""
    return ", ".join(part for part in parts if part)


def _per_second(steps: int, seconds: float) -> float:
    if seconds <= 0:
        return 0.0
    return steps / seconds
