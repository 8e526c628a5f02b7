import type { Page } from "playwright-core";

type QoS = 0 | 1 | 2;

export type PahoMessage = {
  readonly topic: string;
  readonly text: string;
  readonly bytes: number;
  /** SHA-256 of the payload. */
  readonly digest: string;
  readonly qos: QoS;
  readonly retained: boolean;
  readonly duplicate: boolean;
};

type ConnectOptions = {
  readonly userName?: string;
  readonly password?: string;
  readonly mqttVersion?: number;
  readonly cleanSession?: boolean;
  readonly reconnect?: boolean;
  readonly will?: {
    readonly topic: string;
    readonly payload: string;
    readonly qos: number;
    readonly retained: boolean;
  };
};

export type Starting = {
  readonly url: string;
  readonly clientId: string;
  readonly connect: ConnectOptions;
};

/** What a test says to Paho's client in its page; each resolves when the broker has answered. */
export type PahoPage = {
  readonly page: Page;
  /** Answers what was granted. */
  subscribe(filter: string, qos: QoS): Promise<number>;
  publish(message: {
    readonly topic: string;
    readonly payload: string;
    readonly qos: QoS;
    readonly retained?: boolean;
  }): Promise<void>;
  /** As many bytes as said, all different from those beside them. */
  publishBytes(message: {
    readonly topic: string;
    readonly bytes: number;
    readonly qos: QoS;
  }): Promise<{ readonly digest: string }>;
  /** All that came, once it is so many. */
  received(count: number): Promise<readonly PahoMessage[]>;
  disconnect(): Promise<void>;
  disconnected(): Promise<void>;
  reconnected(): Promise<void>;
  /** Why connections were lost. */
  lost(): Promise<readonly string[]>;
};

/** Connects Paho's client, which is in the page already. @throws what its onFailure says */
export async function startPaho(page: Page, starting: Starting): Promise<PahoPage> {
  page.setDefaultTimeout(30_000);
  await page.evaluate(connectInPage, starting);
  const tell = <Answer>(name: keyof InPage, value: unknown): Promise<Answer> =>
    page.evaluate(
      ([method, given]) =>
        (globalThis as unknown as { readonly paho: Record<string, (value: unknown) => unknown> }).paho[
          method as string
        ]?.(given),
      [name, value],
    ) as Promise<Answer>;
  return {
    page,
    subscribe: (filter, qos) => tell("subscribe", { filter, qos }),
    publish: (message) => tell("publish", message),
    publishBytes: (message) => tell("publishBytes", message),
    received: (count) => tell("received", count),
    disconnect: () => tell("disconnect", undefined),
    disconnected: () => tell("standsAs", false),
    reconnected: () => tell("standsAs", true),
    lost: () => tell("lost", undefined),
  };
}

type InPage = Record<
  "subscribe" | "publish" | "publishBytes" | "received" | "disconnect" | "standsAs" | "lost",
  (value: never) => unknown
>;

// As much of Paho's API as is called here.
type PahoWire = {
  readonly destinationName: string;
  readonly payloadBytes: Uint8Array;
  readonly qos: QoS;
  readonly retained: boolean;
  readonly duplicate: boolean;
};
type PahoOut = { destinationName: string; qos: number; retained: boolean };
type Failed = { readonly errorMessage: string };
type PahoClient = {
  onMessageArrived: (message: PahoWire) => void;
  onMessageDelivered: (message: PahoOut) => void;
  onConnectionLost: (why: Failed & { readonly errorCode: number }) => void;
  isConnected(): boolean;
  connect(options: object): void;
  disconnect(): void;
  send(message: PahoOut): void;
  subscribe(filter: string, options: object): void;
};
type Paho = {
  readonly Client: new (url: string, clientId: string) => PahoClient;
  readonly Message: new (payload: string | Uint8Array) => PahoOut;
};

/** Runs in the page: all that it needs stands in it. */
async function connectInPage({ url, clientId, connect }: Starting): Promise<void> {
  const { Paho } = globalThis as unknown as { readonly Paho: Paho };
  const client = new Paho.Client(url, clientId);
  const came: Promise<PahoMessage>[] = [];
  const delivered = new Map<PahoOut, () => void>();
  const why: string[] = [];
  const digestOf = async (bytes: Uint8Array): Promise<string> => {
    // crypto.subtle is for secure contexts; a loopback address is one.
    const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const messageOf = async (message: PahoWire): Promise<PahoMessage> => {
    const { payloadBytes, destinationName: topic, qos, retained, duplicate } = message;
    const text = new TextDecoder().decode(payloadBytes.subarray(0, 100));
    const digest = await digestOf(payloadBytes);
    return { topic, text, bytes: payloadBytes.byteLength, digest, qos, retained, duplicate };
  };
  const until = async (what: string, look: () => boolean): Promise<void> => {
    for (const end = performance.now() + 25_000; !look();) {
      if (performance.now() > end) throw new Error(`${clientId}: ${what}: ${came.length} messages came`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const deliver = (payload: string | Uint8Array, options: Omit<PahoOut, "payload">): Promise<void> => {
    const message = Object.assign(new Paho.Message(payload), options);
    return new Promise((resolve) => {
      delivered.set(message, resolve);
      client.send(message);
    });
  };
  client.onMessageArrived = (message) => void came.push(messageOf(message));
  client.onMessageDelivered = (message) => {
    delivered.get(message)?.();
    delivered.delete(message);
  };
  client.onConnectionLost = ({ errorCode, errorMessage }) => {
    if (errorCode !== 0) why.push(errorMessage);
  };
  const paho = {
    subscribe: ({ filter, qos }: { filter: string; qos: QoS }) =>
      new Promise((resolve, reject) =>
        client.subscribe(filter, {
          qos,
          onSuccess: ({ grantedQos }: { readonly grantedQos: number | ArrayLike<number> }) =>
            resolve(typeof grantedQos === "number" ? grantedQos : grantedQos[0]),
          onFailure: ({ errorMessage }: Failed) => reject(new Error(errorMessage)),
        }),
      ),
    publish: ({ topic, payload, qos, retained = false }: Parameters<PahoPage["publish"]>[0]) =>
      deliver(payload, { destinationName: topic, qos, retained }),
    async publishBytes({ topic, bytes, qos }: Parameters<PahoPage["publishBytes"]>[0]) {
      const payload = Uint8Array.from({ length: bytes }, (_, at) => (at * 7 + (at >>> 8)) & 0xff);
      await deliver(payload, { destinationName: topic, qos, retained: false });
      return { digest: await digestOf(payload) };
    },
    async received(count: number) {
      await until(`${count} messages were to come`, () => came.length >= count);
      return await Promise.all(came);
    },
    disconnect: () => client.disconnect(),
    standsAs: (connected: boolean) =>
      until(`it was to be ${connected ? "" : "dis"}connected`, () => client.isConnected() === connected),
    lost: () => why,
  };
  Object.assign(globalThis, { paho });
  const { will, ...options } = connect;
  const last =
    will === undefined
      ? {}
      : {
          willMessage: Object.assign(new Paho.Message(will.payload), {
            destinationName: will.topic,
            qos: will.qos,
            retained: will.retained,
          }),
        };
  await new Promise<void>((resolve, reject) =>
    client.connect({
      ...options,
      ...last,
      timeout: 5,
      onSuccess: () => resolve(),
      onFailure: ({ errorMessage }: Failed) => reject(new Error(errorMessage)),
    }),
  );
}
