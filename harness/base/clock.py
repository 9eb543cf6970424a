"""The time as it is stored."""

from datetime import UTC, datetime


def now() -> str:
    """Return the time as stored: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
