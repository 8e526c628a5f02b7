import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { at, fieldOf, listAt, textAt } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { parseYaml } from "@cortado/wire/yaml";
import type { HttpTransportOptions } from "./http.ts";

/**
 * How a kubeconfig says that a server is reached (kubernetes, staging/src/k8s.io/client-go/tools/clientcmd/api/v1/types.go). What we do
 * not do is refused by name: exec plug-ins, passwords, a server that is not checked.
 * @param context absent: the file's own current-context
 * @throws StatusError "NotFound" for a file or an entry that is not there, "Invalid" for what cannot be used
 */
export async function readKubeconfig(
  path: string,
  options: { readonly context?: string } = {},
): Promise<HttpTransportOptions> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new StatusError("NotFound", `the kubeconfig ${path} cannot be read`, { cause });
  });
  return await parseKubeconfig(text, { path, near: (name) => readNear(path, name), ...options });
}

/**
 * The same of a text that somebody else wrote: files that it names are not read, as they would be ours.
 * @param path what it is called in errors
 * @throws StatusError as readKubeconfig does
 */
export async function foreignKubeconfig(text: string, path: string): Promise<HttpTransportOptions> {
  const near = (name: string): Promise<string> =>
    Promise.reject(
      new StatusError(
        "Invalid",
        `${path} names the file ${JSON.stringify(name)}, which is not read; put what it holds into the kubeconfig (kubectl config view --flatten)`,
      ),
    );
  return await parseKubeconfig(text, { path, near });
}

type Parsing = {
  readonly path: string;
  readonly context?: string;
  /** A file that it names. */
  readonly near: (name: string) => Promise<string>;
};

async function parseKubeconfig(text: string, options: Parsing): Promise<HttpTransportOptions> {
  const { path, near } = options;
  const file: unknown = valueOf(text, path);
  const contextName = options.context ?? textAt(file, "current-context");
  const context = entryOf(file, { path, list: "contexts", kind: "context", name: contextName });
  const cluster = entryOf(file, {
    path,
    list: "clusters",
    kind: "cluster",
    name: textAt(context, "cluster"),
  });
  const user = entryOf(file, { path, list: "users", kind: "user", name: textAt(context, "user") });
  for (const [entry, field] of [
    [cluster, "insecure-skip-tls-verify"],
    [cluster, "proxy-url"],
    [user, "exec"],
    [user, "auth-provider"],
    [user, "password"],
    [user, "as"],
  ] as const)
    if (![undefined, false, ""].includes(fieldOf(entry, field) as undefined))
      throw new StatusError(
        "Invalid",
        `${path}: context ${contextName} has ${field}, which is not supported; use a client certificate or a token`,
      );
  const read = (entry: unknown, field: string): Promise<string> => dataOf(entry, { near, field });
  const ca = await read(cluster, "certificate-authority");
  const server = textAt(cluster, "server").replace(/\/+$/, "");
  if (!server.startsWith("https://"))
    throw new StatusError("Invalid", `${path}: server ${JSON.stringify(server)} is no https URL`);
  const tokenFile = textAt(user, "tokenFile");
  const token = tokenFile === "" ? textAt(user, "token") : (await near(tokenFile)).trim();
  if (token !== "") return { server, ca, credential: { token } };
  const [cert, key] = [await read(user, "client-certificate"), await read(user, "client-key")];
  if (cert !== "" && key !== "") return { server, ca, credential: { cert, key } };
  throw new StatusError(
    "Invalid",
    `${path}: user ${textAt(context, "user")} has neither token nor client certificate and key; give it one`,
  );
}

type Entry = { readonly path: string; readonly list: string; readonly kind: string; readonly name: string };

function entryOf(file: unknown, { path, list, kind, name }: Entry): unknown {
  const found = listAt(file, list).find((one) => textAt(one, "name") === name);
  if (found !== undefined) return at(found, kind);
  throw new StatusError("NotFound", `${path} has no ${kind} ${JSON.stringify(name)}`);
}

// A field's text stands in the file itself (base64) or in a file beside it.
async function dataOf(
  entry: unknown,
  { near, field }: Pick<Parsing, "near"> & { readonly field: string },
): Promise<string> {
  const data = textAt(entry, `${field}-data`);
  if (data !== "") return Buffer.from(data, "base64").toString("utf8");
  const name = textAt(entry, field);
  return name === "" ? "" : await near(name);
}

function valueOf(text: string, path: string): unknown {
  try {
    return parseYaml(text).value;
  } catch {
    // The parser's words show what stands there.
    throw new StatusError("Invalid", `${path} is not YAML`);
  }
}

async function readNear(path: string, name: string): Promise<string> {
  const file = resolve(dirname(path), name);
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new StatusError("NotFound", `${file}, which ${path} names, cannot be read`, { cause });
  }
}
