import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import { newCompiler } from "./compiler.ts";
import type { Renderer } from "./render/render.ts";

function counting(): { readonly renderer: Renderer; readonly most: () => number } {
  let running = 0;
  let most = 0;
  const kustomize = async (): Promise<string> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
  };
  const helmTemplate = (): Promise<string> => Promise.reject(new StatusError("Invalid", "helm: no"));
  return { renderer: { kustomize, helmTemplate }, most: () => most };
}

const file = (name: string, text = ""): { name: string; content: Uint8Array } => ({
  name,
  content: new TextEncoder().encode(text),
});
const input = {
  namespace: "n",
  name: "shop",
  files: [file("kustomization.yaml", "resources: []")],
  options: {},
  commit: "",
  copies: [],
  signal: new AbortController().signal,
};

test("chunks are named by their SHA-256, and two renders run at a time", async () => {
  const { renderer, most } = counting();
  const compiler = newCompiler({ renderer });
  const contents = await Promise.all(Array.from({ length: 9 }, () => compiler.render(input)));
  assert.equal(most(), 2);
  for (const { deploymentId, chunks } of contents) {
    assert.equal(deploymentId, contents[0]?.deploymentId);
    assert.equal(chunks.length, 1);
    for (const { sha256, content } of chunks)
      assert.equal(createHash("sha256").update(content).digest("hex"), sha256);
  }
});

test("a render that fails gives its place to the next", async () => {
  const { renderer } = counting();
  const compiler = newCompiler({ renderer });
  const bad = { ...input, files: [file("Chart.yaml", "name: c")] };
  for (let round = 0; round < 5; round += 1)
    await assert.rejects(compiler.render(bad), { message: "helm: no" });
  assert.equal((await compiler.render(input)).chunks.length, 1);
});
