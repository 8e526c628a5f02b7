import { StatusError } from "@cortado/std/status";

/** What MQTT 5 says of a packet that may not be (section 4.13); 3.1.1 has no codes and only closes. */
export const faultCodes = {
  malformedPacket: 0x81,
  protocolError: 0x82,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
} as const;
export type FaultName = keyof typeof faultCodes;

const codes = new WeakMap<StatusError, number>();

/** The error for bytes that MQTT does not allow; the receiver logs it and closes the connection (MQTT 3.1.1, section 4.8). */
export function malformed(
  what: string,
  { fault = "malformedPacket", ...options }: ErrorOptions & { readonly fault?: FaultName } = {},
): StatusError {
  const error = new StatusError("BadRequest", `malformed MQTT packet: ${what}`, options);
  codes.set(error, faultCodes[fault]);
  return error;
}

/** The same for bytes that can be read and say what must not be said (MQTT 5, section 4.13.1). */
export function protocolError(what: string): StatusError {
  return malformed(what, { fault: "protocolError" });
}

/** The reason code that a DISCONNECT or CONNACK gives for an error of this room; undefined for one that is not of here. */
export function faultCode(error: unknown): number | undefined {
  return error instanceof StatusError ? codes.get(error) : undefined;
}
