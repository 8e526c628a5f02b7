import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyFor } from "./proxy.ts";

const proxy = "http://proxy.example:3128";

for (const { none, url, isDirect } of [
  { none: "", url: "https://hub.example:8443", isDirect: false },
  { none: "*", url: "https://hub.example:8443", isDirect: true },
  { none: "hub.example", url: "https://hub.example:8443", isDirect: true },
  { none: "example", url: "https://hub.example:8443", isDirect: true },
  { none: ".example", url: "https://hub.example:8443", isDirect: true },
  { none: "*.example", url: "https://hub.example", isDirect: true },
  { none: "b.example", url: "https://hub.example:8443", isDirect: false },
  { none: "ub.example", url: "https://hub.example:8443", isDirect: false },
  { none: "hub.example:443", url: "https://hub.example", isDirect: true },
  { none: "hub.example:443", url: "https://hub.example:8443", isDirect: false },
  { none: "other, HUB.EXAMPLE", url: "https://hub.example:8443", isDirect: true },
  { none: "10.0.0.0/8", url: "https://10.1.2.3:6443", isDirect: true },
  { none: "10.0.0.0/8", url: "https://11.1.2.3:6443", isDirect: false },
  { none: "10.0.0.0/99", url: "https://10.1.2.3:6443", isDirect: false },
  { none: "10.0.0.0/8", url: "https://hub.example", isDirect: false },
  { none: "10.1.2.3", url: "https://10.1.2.3:6443", isDirect: true },
  { none: "fd00::/8", url: "https://[fd00::7]:6443", isDirect: true },
  { none: "fd00::7", url: "https://[fd00::7]:6443", isDirect: true },
  { none: "[fd00::7]:6443", url: "https://[fd00::7]:6443", isDirect: true },
])
  test(`NO_PROXY=${none} and ${url}`, () => {
    const found = proxyFor(url, { HTTPS_PROXY: proxy, NO_PROXY: none });
    assert.equal(found, isDirect ? undefined : proxy);
  });

test("a proxy is named in either spelling, with or without its scheme, or not at all", () => {
  const url = "https://hub.example";
  assert.equal(proxyFor(url, {}), undefined);
  assert.equal(proxyFor(url, { https_proxy: "proxy.example:3128" }), proxy);
  assert.equal(proxyFor(url, { https_proxy: proxy, no_proxy: "hub.example" }), undefined);
});
