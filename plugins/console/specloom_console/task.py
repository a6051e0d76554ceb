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
    return f"{per_second:.1f}/s" if per_second >= 0.5 else f"{60 * per_second:.2g}/min"


@dataclass
class Task:
    """Steps of one kind, of which some are done.

    Args:
        what: What is being done.
        started: When the first step began, in seconds.
        base: The steps that were done before that.
        total: The number of steps, or None where nobody knows.
        done: The steps done by now.
        seen: When the last one ended, in seconds.
    """

    what: str
    started: float
    base: int
    total: int | None
    done: int
    seen: float

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take in how far it is now."""
        self.done, self.total, self.seen = done, total, now

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return self.seen - self.started

    @property
    def rate(self) -> float:
        """Steps a second; 0 while nothing can be said."""
        return (self.done - self.base) / self.seconds if self.seconds > 0 else 0.0

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return self.total is not None and self.done >= self.total

    def pace(self) -> str:
        """How far it is, its rate and the time left.

        >>> Task("fit", started=0, base=0, total=40, done=10, seen=5).pace()
        '10 of 40, 2.0/s, 15 s left'
        >>> Task("read", started=0, base=0, total=None, done=10, seen=5).pace()
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
        """What came of it, in one line.

        >>> Task("fit", started=0, base=0, total=40, done=40, seen=20).summary()
        'fit: 40 in 20 s, 2.0/s'
        >>> Task("fit", started=0, base=0, total=40, done=10, seen=5).summary()
        'fit: stopped at 10 of 40 after 5 s'
        """
        if self.total is not None and not self.complete:
            return f"{self.what}: stopped at {self.done} of {self.total} after " + duration(
                self.seconds
            )
        return f"{self.what}: {self.done} in {duration(self.seconds)}, {frequency(self.rate)}"
