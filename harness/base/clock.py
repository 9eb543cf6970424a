"""The time as it is stored."""

from datetime import UTC, datetime


def now() -> str:
    """Return the time as stored: ISO 8601, UTC, to the millisecond."""
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """Return a moment with a time zone as stored."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
