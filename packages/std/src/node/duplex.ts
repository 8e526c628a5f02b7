import { Duplex } from "node:stream";
import type { Connection } from "../net.ts";

/** A connection as Node's streams have it: for servers and clients that speak over any Duplex. */
export function connectionDuplex(connection: Connection): Duplex {
  let written: (() => void) | undefined;
  let ended: (() => void) | undefined;
  const duplex = new Duplex({
    allowHalfOpen: false,
    read: () => connection.resume(),
    write(chunk: Uint8Array, _encoding, done) {
      if (connection.write(chunk)) done();
      else written = done;
    },
    final(done) {
      // Not before what waits is sent: Node destroys a stream that has finished.
      ended = done;
      connection.end();
    },
    destroy(error, done) {
      connection.destroy();
      done(error);
    },
  });
  connection.handle({
    data(bytes) {
      if (!duplex.push(bytes)) connection.pause();
    },
    drained() {
      const done = written;
      written = undefined;
      done?.();
    },
    closed(error) {
      ended?.();
      if (error !== undefined) duplex.destroy(error);
      else if (written === undefined) duplex.push(null);
      else duplex.destroy(); // what was being written will not arrive
    },
  });
  return duplex;
}
