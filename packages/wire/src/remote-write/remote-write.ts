import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { compress } from "snappyjs";

export type Sample = { readonly atMs: number; readonly value: number };
/** `__name__` is the metric's name. */
export type TimeSeries = {
  readonly labels: Readonly<Record<string, string>>;
  readonly samples: readonly Sample[];
};

/**
 * The body of a Prometheus remote write 1.0 (prometheus.io/docs/specs/prw/remote_write_spec): `WriteRequest` in protobuf, in one block
 * of snappy. Labels are sorted by name and samples by time, as the specification wants; labels without a value are left out.
 */
export function encodeWriteRequest(series: readonly TimeSeries[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const one of series) writeMessage(writer, 1, (inner) => writeSeries(inner, one));
  return new Uint8Array(compress(writer.finish()));
}

function writeSeries(writer: BinaryWriter, { labels, samples }: TimeSeries): void {
  const named = Object.entries(labels).filter(([, value]) => value !== "");
  for (const [name, value] of named.toSorted(([one], [other]) => (one < other ? -1 : 1)))
    writeMessage(writer, 1, (inner) => {
      inner.tag(1, WireType.LengthDelimited).string(name);
      inner.tag(2, WireType.LengthDelimited).string(value);
    });
  for (const { atMs, value } of samples.toSorted((one, other) => one.atMs - other.atMs))
    writeMessage(writer, 2, (inner) => {
      inner.tag(1, WireType.Bit64).double(value);
      inner.tag(2, WireType.Varint).int64(atMs);
    });
}

function writeMessage(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}
