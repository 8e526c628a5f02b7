import assert from "node:assert/strict";
import { test } from "node:test";
import { toServerConfig } from "./server-config.ts";

test("defaults are K3s's", () => {
  const config = toServerConfig({}, {}, "Store-042");
  assert.equal(config.clusterCidr, "10.42.0.0/16");
  assert.equal(config.serviceCidr, "10.43.0.0/16");
  assert.equal(config.clusterDns, "10.43.0.10");
  assert.equal(config.dataDir, "/var/lib/cortado");
  assert.equal(config.nodeName, "store-042", "host names are written small");
  assert.equal(config.httpsListenPort, 6443);
});

test("the command line goes before the file, the file before what is built in; lists and pairs are read", () => {
  const file = {
    "node-name": "a",
    "data-dir": "/file",
    disable: ["traefik", "coredns"],
    "node-label": ["location=edge"],
  };
  const config = toServerConfig(file, { "node-name": "b", "tls-san": ["x.test", "192.0.2.1"] }, "host");
  assert.equal(config.nodeName, "b");
  assert.equal(config.dataDir, "/file");
  assert.deepEqual(config.disable, ["ingress", "coredns"], "K3s's name for the ingress means ours");
  assert.deepEqual(config.nodeLabels, { location: "edge" });
  assert.deepEqual(config.tlsSan, ["x.test", "192.0.2.1"]);
});

test("MQTT over TLS: not unless it is asked for, then on 8883 with the store's own certificate", () => {
  assert.equal(toServerConfig({}, {}, "host").mqttTls, undefined);
  assert.equal(toServerConfig({ "mqtt-tls": false }, {}, "host").mqttTls, undefined);
  assert.deepEqual(toServerConfig({}, { "mqtt-tls": true }, "host").mqttTls, {
    port: 8883,
    webSocketPort: 0,
    files: undefined,
    caFile: undefined,
    crlFile: undefined,
    requireCertificate: false,
  });
  const file = {
    "mqtt-tls": "true",
    "mqtt-tls-port": 0,
    "mqtt-websocket-tls-port": 9002,
    "mqtt-tls-cert-file": "/crt",
    "mqtt-tls-key-file": "/key",
    "mqtt-tls-ca-file": "/ca",
    "mqtt-tls-crl-file": "/crl",
    "mqtt-tls-require-certificate": true,
  };
  assert.deepEqual(toServerConfig(file, {}, "host").mqttTls, {
    port: 0,
    webSocketPort: 9002,
    files: { certFile: "/crt", keyFile: "/key" },
    caFile: "/ca",
    crlFile: "/crl",
    requireCertificate: true,
  });
});

for (const { name, line, says } of [
  { name: "a flag", line: { "mqtt-tls": "yes" }, says: /mqtt-tls: "yes" is neither true nor false/ },
  {
    name: "a setting of MQTT over TLS that is not asked for",
    line: { "mqtt-tls-port": "8884" },
    says: /mqtt-tls-port: .*set mqtt-tls too/,
  },
  {
    name: "a certificate without its key",
    line: { "mqtt-tls": true, "mqtt-tls-cert-file": "/crt" },
    says: /mqtt-tls-cert-file: give mqtt-tls-key-file too/,
  },
  {
    name: "clients' certificates that nobody signs",
    line: { "mqtt-tls": true, "mqtt-tls-require-certificate": true },
    says: /mqtt-tls-require-certificate: .*mqtt-tls-ca-file/,
  },
  {
    name: "MQTT over TLS on no port",
    line: { "mqtt-tls": true, "mqtt-tls-port": "0" },
    says: /mqtt-tls: both .* are 0/,
  },
  {
    name: "a port that is no number",
    line: { "https-listen-port": "https" },
    says: /https-listen-port.*"https".*whole number/,
  },
  {
    name: "a runtime that is not known",
    line: { runtime: "docker" },
    says: /docker.*containerd or simulated/,
  },
  { name: "a part that is not there", line: { disable: "flannel" }, says: /no part flannel/ },
  {
    name: "a node name that is no DNS name",
    line: { "node-name": "store_042!" },
    says: /node-name.*DNS name/,
  },
  { name: "a label without a value", line: { "node-label": ["edge"] }, says: /"edge" is not KEY=VALUE/ },
  { name: "a log level", line: { "log-level": "loud" }, says: /loud.*debug, info/ },
])
  test(`${name} is refused by name`, () => {
    assert.throws(() => toServerConfig({}, line, "host"), says);
  });
