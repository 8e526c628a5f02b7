import { StatusError } from "@cortado/std/status";

/** The error for bytes that MQTT does not allow; the receiver logs it and closes the connection (MQTT 3.1.1, section 4.8). */
export function malformed(what: string, options?: ErrorOptions): StatusError {
  return new StatusError("BadRequest", `malformed MQTT packet: ${what}`, options);
}
