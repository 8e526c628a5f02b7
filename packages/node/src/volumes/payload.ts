import type { KeyToPath, Volume } from "@cortado/kinds";
import type { Clock } from "@cortado/std/clock";
import { hasReason, StatusError } from "@cortado/std/status";
import { TOKEN_REFRESH_SHARE } from "../limits.ts";
import { fieldValue, resourceValue, type Place } from "../pods/downward.ts";
import { specOf, type StoredPod } from "../pods/pod.ts";
import type { Sources, Token } from "../sources.ts";
import type { Payload, ProjectedFile } from "./atomic-writer.ts";

export type PayloadOptions = {
  readonly pod: StoredPod;
  readonly place: Place;
  readonly sources: Sources;
  readonly tokens: TokenKeeper;
};

type Files = Map<string, ProjectedFile>;
const DEFAULT_MODE = 0o644;

/** True for volumes whose files come from the API. */
export function isProjected(volume: Volume): boolean {
  return [volume.configMap, volume.secret, volume.projected, volume.downwardAPI].some(
    (one) => one !== undefined,
  );
}

/** The names of ConfigMaps and Secrets that a volume is made of: "ConfigMap/NAME". */
export function payloadSources(volume: Volume): readonly string[] {
  const names: string[] = [];
  if (volume.configMap !== undefined) names.push(`ConfigMap/${volume.configMap.name}`);
  if (volume.secret !== undefined) names.push(`Secret/${volume.secret.secretName}`);
  for (const source of volume.projected?.sources ?? []) {
    if (source.configMap !== undefined) names.push(`ConfigMap/${source.configMap.name}`);
    if (source.secret !== undefined) names.push(`Secret/${source.secret.name}`);
  }
  return names;
}

/** The files of a volume. @throws StatusError naming what is not there */
export async function volumePayload(volume: Volume, options: PayloadOptions): Promise<Payload> {
  const files: Files = new Map();
  if (volume.configMap !== undefined) {
    await addConfigMap(
      files,
      { ...volume.configMap, mode: volume.configMap.defaultMode ?? DEFAULT_MODE },
      options,
    );
  } else if (volume.secret !== undefined) {
    const { secretName, defaultMode, ...rest } = volume.secret;
    await addSecret(
      files,
      {
        ...rest,
        ...(secretName === undefined ? {} : { name: secretName }),
        mode: defaultMode ?? DEFAULT_MODE,
      },
      options,
    );
  } else if (volume.downwardAPI !== undefined) {
    addDownward(
      files,
      { items: volume.downwardAPI.items ?? [], mode: volume.downwardAPI.defaultMode ?? DEFAULT_MODE },
      options,
    );
  } else {
    const mode = volume.projected?.defaultMode ?? DEFAULT_MODE;
    for (const source of volume.projected?.sources ?? []) {
      if (source.configMap !== undefined) await addConfigMap(files, { ...source.configMap, mode }, options);
      else if (source.secret !== undefined) await addSecret(files, { ...source.secret, mode }, options);
      else if (source.downwardAPI !== undefined)
        addDownward(files, { items: source.downwardAPI.items ?? [], mode }, options);
      else if (source.serviceAccountToken !== undefined)
        await addToken(files, { ...source.serviceAccountToken, mode }, options);
      else
        throw new StatusError(
          "NotImplemented",
          `volume ${volume.name} projects a source that this node does not offer`,
        );
    }
  }
  return files;
}

type ObjectSource = {
  readonly name?: string;
  readonly items?: readonly KeyToPath[];
  readonly optional?: boolean;
  readonly mode: number;
};

async function addConfigMap(
  files: Files,
  source: ObjectSource,
  { pod, sources }: PayloadOptions,
): Promise<void> {
  const { name = "" } = source;
  const map = await sources.configMap(pod.metadata.namespace ?? "", name);
  if (map === undefined && source.optional !== true)
    throw new StatusError("NotFound", `configmap ${JSON.stringify(name)} not found`);
  const entries = new Map<string, Uint8Array>();
  for (const [key, text] of Object.entries(map?.data ?? {})) entries.set(key, Buffer.from(text));
  for (const [key, base64] of Object.entries(map?.binaryData ?? {}))
    entries.set(key, Buffer.from(base64, "base64"));
  addEntries(files, { source, entries, what: `configmap ${JSON.stringify(name)}` });
}

async function addSecret(
  files: Files,
  source: ObjectSource,
  { pod, sources }: PayloadOptions,
): Promise<void> {
  const { name = "" } = source;
  const secret = await sources.secret(pod.metadata.namespace ?? "", name);
  if (secret === undefined && source.optional !== true)
    throw new StatusError("NotFound", `secret ${JSON.stringify(name)} not found`);
  const entries = new Map(
    Object.entries(secret?.data ?? {}).map(([key, base64]) => [key, Buffer.from(base64, "base64")]),
  );
  addEntries(files, { source, entries, what: `secret ${JSON.stringify(name)}` });
}

type AddEntries = {
  readonly source: ObjectSource;
  readonly entries: ReadonlyMap<string, Uint8Array>;
  readonly what: string;
};

function addEntries(files: Files, { source, entries, what }: AddEntries): void {
  if (source.items === undefined || source.items.length === 0) {
    for (const [key, data] of entries) files.set(key, { data, mode: source.mode });
    return;
  }
  for (const { key, path, mode } of source.items) {
    const data = entries.get(key);
    if (data !== undefined) files.set(path, { data, mode: mode ?? source.mode });
    else if (source.optional !== true)
      throw new StatusError("NotFound", `${what} references non-existent key: ${key}`);
  }
}

type DownwardItem = NonNullable<NonNullable<Volume["downwardAPI"]>["items"]>[number];

function addDownward(
  files: Files,
  source: { readonly items: readonly DownwardItem[]; readonly mode: number },
  { pod, place }: PayloadOptions,
): void {
  for (const { path, mode, fieldRef, resourceFieldRef } of source.items) {
    const text =
      fieldRef !== undefined
        ? fieldValue(fieldRef, pod, place)
        : resourceFieldRef !== undefined
          ? resourceValue(resourceFieldRef, undefined, pod, place)
          : "";
    files.set(path, { data: Buffer.from(text), mode: mode ?? source.mode });
  }
}

type TokenSource = {
  readonly path: string;
  readonly audience?: string;
  readonly expirationSeconds?: number;
  readonly mode: number;
};

async function addToken(files: Files, source: TokenSource, { pod, tokens }: PayloadOptions): Promise<void> {
  const token = await tokens.token(pod, source);
  // A token is for its container's user alone (kubelet: 0600, or 0644 when the user is not known to be root).
  const owned = specOf(pod).securityContext?.fsGroup === undefined ? source.mode : 0o600;
  files.set(source.path, { data: Buffer.from(token), mode: owned });
}

const HOUR_S = 3_600;

/** Tokens of service accounts, kept until the last fifth of their life. */
export class TokenKeeper {
  readonly #sources: Sources;
  readonly #clock: Clock;
  readonly #tokens = new Map<
    string,
    { readonly token: Token; readonly refreshMs: number; readonly endsMs: number }
  >();

  constructor(ports: { readonly sources: Sources; readonly clock: Clock }) {
    this.#sources = ports.sources;
    this.#clock = ports.clock;
  }

  async token(
    pod: StoredPod,
    source: { readonly audience?: string; readonly expirationSeconds?: number },
  ): Promise<string> {
    const key = `${pod.metadata.uid}/${source.audience ?? ""}/${source.expirationSeconds ?? ""}`;
    const known = this.#tokens.get(key);
    // By the monotonic clock: a jump of the wall clock must not make every token anew, nor keep one for years.
    const nowMs = this.#clock.monotonicMs();
    if (known !== undefined && nowMs < known.refreshMs) return known.token.token;
    try {
      return await this.#renew(key, pod, source);
    } catch (error) {
      // While no server answers, one in the last fifth of its life still serves.
      if (known !== undefined && nowMs < known.endsMs && hasReason(error, "ServiceUnavailable"))
        return known.token.token;
      throw error;
    }
  }

  async #renew(
    key: string,
    pod: StoredPod,
    source: { readonly audience?: string; readonly expirationSeconds?: number },
  ): Promise<string> {
    const seconds = source.expirationSeconds ?? HOUR_S;
    const token = await this.#sources.token({
      namespace: pod.metadata.namespace ?? "",
      serviceAccount: specOf(pod).serviceAccountName ?? "default",
      audience: source.audience,
      expirationSeconds: seconds,
      pod: { name: pod.metadata.name, uid: pod.metadata.uid },
    });
    const lifeMs = Math.min(
      seconds * 1_000,
      Math.max(0, token.expiresMs - this.#clock.nowMs()) || seconds * 1_000,
    );
    const nowMs = this.#clock.monotonicMs();
    this.#tokens.set(key, { token, refreshMs: nowMs + lifeMs * TOKEN_REFRESH_SHARE, endsMs: nowMs + lifeMs });
    return token.token;
  }

  forget(uid: string): void {
    for (const key of this.#tokens.keys()) if (key.startsWith(`${uid}/`)) this.#tokens.delete(key);
  }
}
