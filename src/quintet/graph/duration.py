"""Spans of time as people write and read them: '2h', '90 min', '1 h 05 min'."""

from __future__ import annotations

import re

from quintet.errors import UserError

_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)(?![a-z])\s*")


def parse_duration(where: str, text: object) -> float:
    """Seconds in `text`: a number of seconds, or parts with units such as '2h' or '1h 30min'."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    else:
        whole = str(text).strip().lower()
        parts = list(_PART.finditer(whole))
        if not parts or "".join(part.group(0) for part in parts) != whole:
            raise UserError(where, f"'{text}' is no span of time", "write seconds, or such as '90s' or '1h 30min'")
        seconds = sum(float(part.group(1)) * _SECONDS[part.group(2)] for part in parts)
    if seconds <= 0:
        raise UserError(where, f"{text} is no time at all", "it takes a span above zero, such as '45min'")
    return seconds


def say_duration(seconds: float) -> str:
    """`seconds` in the two units that matter: '0.4 s', '38 s', '12 min 05 s', '3 h 20 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
