// The tunnel is ours, not K3s's remotedialer: an agent keeps one control connection to its server, and opens another for each stream
// that the server asks for, so that TCP does what framing would have to. All of them go out from the agent, through a NAT too.
//
// On the control connection go lines of text. The agent sends an empty one as a sign of life, which the server answers; the server
// sends `open ID` for a stream, and the agent connects anew with that ID in its query. A stream then is the bytes of HTTP/1.1, the
// server being the client.

/** What the connection is upgraded to. */
export const TUNNEL_PROTOCOL = "cortado-tunnel";
/** Query of a connection that is a stream. */
export const STREAM_QUERY = "stream";

/** Cuts what comes on a control connection into lines. Answers false when one is too long. */
export function lineReader(line: (text: string) => void, bytesMax: number): (bytes: Uint8Array) => boolean {
  let rest = "";
  return (bytes) => {
    const parts = (rest + Buffer.from(bytes).toString("latin1")).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) line(part);
    return rest.length <= bytesMax;
  };
}
