"""Warns when a fridge is too warm.

Reads what sensors really send: a bare number as in 97.4 (Fahrenheit), or {"temp": 97.4, "unit": "F"}; Celsius, a missing unit and
numbers written as text are understood. Food is safe up to 41 F (5 C); a fridge above that for a moment is only being opened, so the
limit is a little higher and can be set by the variable LIMIT_F.
"""

import json
import os


def handle(req):
    limit = float(os.environ.get("LIMIT_F", "45"))
    try:
        reading = json.loads(req)
    except ValueError:
        return "Unreadable: " + req[:200]
    unit = "F"
    if isinstance(reading, dict):
        unit = str(reading.get("unit") or "F").strip().upper().lstrip("°")[:1]
        reading = reading.get("temp", reading.get("temperature", reading.get("value")))
    try:
        temp = float(reading)
    except (TypeError, ValueError):
        return "Unreadable: " + req[:200]
    if temp != temp or isinstance(reading, bool) or unit not in ("F", "C"):
        return "Unreadable: " + req[:200]
    fahrenheit = temp * 9 / 5 + 32 if unit == "C" else temp
    if fahrenheit > limit:
        return "Warning: Too hot! %.1f F, the limit is %.1f F" % (fahrenheit, limit)
    return "Temperature OK: %.1f F" % fahrenheit
