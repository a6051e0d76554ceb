"""How far one task is, how fast it goes, and how long it will take."""

from dataclasses import dataclass


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
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def frequency(per_second: float) -> str:
    """A rate, per minute where it is slow.

    >>> frequency(1234.5), frequency(8.13), frequency(0.25)
    ('1234/s', '8.1/s', '15/min')
    """
    if per_second >= 10:
        return f"{per_second:.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{60 * per_second:.2g}/min"


@dataclass
class Task:
    """Steps of one kind, of which some are done.

    The rate counts from the first step that was reported, whose own beginning nobody knows unless
    it was step 0: a task around other tasks is first heard of when its first step ends.

    Args:
        what: What is being done.
        started: When it was first heard of, in seconds.
        base: The steps that were done then.
        total: The number of steps, or None where nobody knows.
        done: The steps done by now.
        now: When the last one ended, in seconds.
        before: How long whatever came before the first report is ago, when that was made.
    """

    what: str
    started: float
    base: int
    total: int | None
    done: int
    now: float
    before: float = 0.0

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take in how far it is now."""
        self.done, self.total, self.now = done, total, now

    @property
    def seconds(self) -> float:
        """How long it has taken, as far as is known."""
        return self.now - self.started + self.before

    @property
    def rate(self) -> float:
        """Steps a second; 0 while nothing can be said."""
        spent = self.now - self.started
        return (self.done - self.base) / spent if spent > 0 else 0.0

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return self.total is not None and self.done >= self.total

    def pace(self) -> str:
        """How far it is, its rate and the time left.

        >>> Task("fit", started=0, base=0, total=40, done=10, now=5).pace()
        '10 of 40, 2.0/s, 15 s left'
        >>> Task("read", started=0, base=0, total=None, done=10, now=5).pace()
        '10, 2.0/s'
        """
        parts = [f"{self.done}" if self.total is None else f"{self.done} of {self.total}"]
        if self.rate > 0:
            parts.append(frequency(self.rate))
            if self.total is not None:
                left = max(0, self.total - self.done) / self.rate
                parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def summary(self) -> str:
        """What came of it, in one line; its duration where the beginning is known.

        >>> Task("fit", started=0, base=0, total=40, done=40, now=20).summary()
        'fit: 40 in 20 s, 2.0/s'
        >>> Task("epochs", started=0, base=1, total=21, done=21, now=200).summary()
        'epochs: 21, 6/min'
        >>> Task("fit", started=0, base=0, total=40, done=10, now=5).summary()
        'fit: stopped at 10 of 40'
        """
        if self.total is not None and not self.complete:
            return f"{self.what}: stopped at {self.done} of {self.total}"
        took = "" if self.base else f" in {duration(self.seconds)}"
        pace = f", {frequency(self.rate)}" if self.rate > 0 else ""
        return f"{self.what}: {self.done}{took}{pace}"
