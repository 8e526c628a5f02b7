/** What the pages ask of the hub's public API, and of the machine they run on. */
export interface Api {
  /** @throws Error that says what the hub answered */
  get(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>;
  /** JSON lines, one value each. */
  lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncIterable<unknown>;
}

export interface Timing {
  nowMs(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** An object of the API, as far as every kind has it. */
export type ApiObject = {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly creationTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
};

export function keyOf({ metadata }: ApiObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}
