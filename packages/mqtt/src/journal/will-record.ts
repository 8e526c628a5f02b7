import type { Properties, QoS, Will } from "@cortado/wire/mqtt";

/** A will that is to be published unless its client says goodbye. */
export type KeptWill = {
  /** Of its own for each CONNECT: a client's next will must not be taken for this one. */
  readonly id: number;
  readonly clientId: string;
  readonly will: Will;
  /** Broker time when its delay is over; undefined while the client is connected, as far as is known. */
  readonly dueMs: number | undefined;
};

/** The same as JSON holds it. */
export type WillRecord = {
  readonly id: number;
  readonly clientId: string;
  readonly topic: string;
  /** base64, as the correlation data. */
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: Omit<Properties, "correlationData">;
  readonly correlationData?: string;
  readonly dueMs?: number;
};

export function willRecord({ id, clientId, will, dueMs }: KeptWill): WillRecord {
  const { topic, payload, qos, retain, properties } = will;
  const { correlationData, ...rest } = properties ?? {};
  return {
    id,
    clientId,
    topic,
    payload: Buffer.from(payload).toString("base64"),
    qos,
    retain,
    ...(properties === undefined ? {} : { properties: rest }),
    ...(correlationData === undefined
      ? {}
      : { correlationData: Buffer.from(correlationData).toString("base64") }),
    ...(dueMs === undefined ? {} : { dueMs }),
  };
}

export function readWill(record: WillRecord): KeptWill {
  const { id, clientId, topic, payload, qos, retain, properties, correlationData, dueMs } = record;
  return {
    id,
    clientId,
    will: {
      topic,
      payload: new Uint8Array(Buffer.from(payload, "base64")),
      qos,
      retain,
      ...(properties === undefined
        ? {}
        : {
            properties: {
              ...properties,
              ...(correlationData === undefined
                ? {}
                : { correlationData: new Uint8Array(Buffer.from(correlationData, "base64")) }),
            },
          }),
    },
    dueMs,
  };
}
