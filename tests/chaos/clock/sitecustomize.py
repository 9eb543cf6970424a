"""Imported by every Python that starts with this folder on its path: the wall clock is set back by so many seconds."""

import datetime as dt
import os
import time

_BACK_S = float(os.environ.get("CHAOS_CLOCK_BACK_S", "0"))
_time, _time_ns = time.time, time.time_ns


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - dt.timedelta(seconds=_BACK_S)


if _BACK_S:
    time.time = lambda: _time() - _BACK_S
    time.time_ns = lambda: _time_ns() - int(_BACK_S * 1e9)
    dt.datetime = _Datetime
