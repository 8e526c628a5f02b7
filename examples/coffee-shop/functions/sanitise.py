"""Writes readings to disk that make sense, one JSON line each, and leaves the others out.

The folder (annotation cortado.local/data) is the function's own and survives restarts. The file is turned over before it is full.
"""

import json
import os

FOLDER = os.environ.get("CORTADO_DATA", "/tmp")
BYTES_MAX = int(os.environ.get("FILE_BYTES", "200000"))


def handle(event, context):
    topic = event.headers.get("x-topic", "")
    try:
        reading = json.loads(event.body)
    except ValueError:
        return "left out: not JSON"
    value = reading.get("temp", reading.get("value")) if isinstance(reading, dict) else reading
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "left out: not a number"
    if not -100 <= number <= 1000:
        return "left out: out of range"
    unit = reading.get("unit") if isinstance(reading, dict) else None
    line = json.dumps({"id": event.headers.get("x-call-id"), "topic": topic, "value": number, "unit": unit})
    path = os.path.join(FOLDER, "readings.jsonl")
    if os.path.exists(path) and os.path.getsize(path) + len(line) > BYTES_MAX:
        os.replace(path, path + ".old")
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return "kept"
