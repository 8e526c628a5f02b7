import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../compile.ts";
import { withoutEffect, type Settings } from "./without-effect.ts";

const named = (settings: Settings, isStrict = false): readonly string[] =>
  withoutEffect(settings, isStrict).map(({ message }) => message.split(" changes nothing here: ")[0] ?? "");

for (const { what, settings, want, strict = [] } of [
  { what: "nothing set", settings: {}, want: [] },
  {
    what: "all of it for the whole bundle",
    settings: {
      helm: { atomic: true, maxHistory: 0, disableDNS: false, timeoutSeconds: 5, waitForJobs: true },
      correctDrift: { enabled: true, keepFailHistory: true },
    },
    want: ["helm.atomic", "helm.maxHistory", "helm.disableDNS", "correctDrift.keepFailHistory"],
    strict: [
      "helm.atomic",
      "helm.maxHistory",
      "helm.disableDNS",
      "helm.timeoutSeconds",
      "correctDrift.keepFailHistory",
    ],
  },
  {
    what: "what is switched off, or always so",
    settings: { helm: { atomic: false, disableDNS: true }, correctDrift: { keepFailHistory: false } },
    want: [],
  },
  {
    what: "of a target and of a customization",
    settings: {
      targets: [{}, { helm: { atomic: true } }],
      targetCustomizations: [{ correctDrift: { keepFailHistory: true } }],
    },
    want: ["targets[1].helm.atomic", "targetCustomizations[0].correctDrift.keepFailHistory"],
    strict: ["targets[1].helm.atomic", "targetCustomizations[0].correctDrift.keepFailHistory"],
  },
  {
    what: "a strategy that only --fleet-strict heeds",
    settings: { rolloutStrategy: { maxUnavailable: "10%", maxNew: 3, partitions: [{ name: "a" }] } },
    want: ["rolloutStrategy.maxUnavailable", "rolloutStrategy.maxNew"],
  },
] as readonly { what: string; settings: Settings; want: string[]; strict?: string[] }[])
  test(`settings without effect: ${what}`, () => {
    assert.deepEqual(named(settings), want);
    assert.deepEqual(named(settings, true), strict);
  });

const files: Readonly<Record<string, string>> = {
  "fleet.yaml": "helm:\n  atomic: true\nresources: []\n",
  "x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
};

for (const strict of [false, true])
  test(`each is told with its place in fleet.yaml${strict ? ", also under --fleet-strict" : ""}`, async () => {
    const { bundles, problems } = await compile(
      {
        files: Object.entries(files).map(([path, text]) => ({ path, bytes: text.length, kind: "file" })),
        read: (path) => Promise.resolve(new TextEncoder().encode(files[path])),
      },
      { repo: "shop", strict, correctDrift: { enabled: true, keepFailHistory: true } },
    );
    assert.deepEqual(problems, []);
    const warnings = bundles[0]?.warnings ?? [];
    const has = (pattern: RegExp): boolean => warnings.some((text) => pattern.test(text));
    assert.ok(has(/^fleet\.yaml:2:3: helm\.atomic changes nothing here: /), warnings.join("\n"));
    assert.ok(has(/^spec\.correctDrift\.keepFailHistory of the GitRepo changes nothing here: /));
    assert.equal(has(/^fleet\.yaml:3:1: resources is of Bundles and changes nothing/), !strict);
  });
