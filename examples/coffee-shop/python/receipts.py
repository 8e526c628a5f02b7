"""Prints receipts: the shop's one service in Python, to show that any language runs."""

import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORDER_URL = os.environ.get("ORDER_URL", "http://order:8080")
STORE = os.environ.get("STORE", "store")
WIDTH = 32


def receipt(order):
    """An order as the lines of a 32-column printer."""
    lines = [STORE.center(WIDTH), ("Order #%d" % order["sequence"]).center(WIDTH), "-" * WIDTH]
    for item in order["items"]:
        lines.append("%3d x %s" % (item["quantity"], item["sku"]))
    total = "%.2f %s" % (order["totalCents"] / 100, order["currency"])
    lines += ["-" * WIDTH, "TOTAL" + total.rjust(WIDTH - 5), "Paid by " + order["payment"]["method"], ""]
    return "\n".join(lines)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/livez":
            return self.answer(200, "ok\n")
        if not self.path.startswith("/api/receipts/"):
            return self.answer(404, "there is nothing at %s\n" % self.path)
        order_id = self.path[len("/api/receipts/"):]
        try:
            with urllib.request.urlopen("%s/api/orders/%s" % (ORDER_URL, order_id), timeout=5) as reply:
                return self.answer(200, receipt(json.load(reply)))
        except urllib.error.HTTPError as error:
            return self.answer(error.code, "order %s: %s\n" % (order_id, error.reason))
        except OSError as error:
            return self.answer(503, "orders do not answer: %s\n" % error)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"service": "receipts", "message": "started", "port": 8080}), flush=True)
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
