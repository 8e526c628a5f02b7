/** One line of a container's log in CRI's format: `TIME STREAM TAG TEXT`, where the tag P says that the line goes on. */
export type LogLine = {
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  readonly partial: boolean;
  readonly text: string;
};

export function parseLogLine(line: string): LogLine | undefined {
  const first = line.indexOf(" ");
  const second = line.indexOf(" ", first + 1);
  const third = line.indexOf(" ", second + 1);
  if (first < 0 || second < 0) return undefined;
  const stream = line.slice(first + 1, second);
  const tags = line.slice(second + 1, third < 0 ? undefined : third);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  return {
    time: line.slice(0, first),
    stream,
    partial: tags.startsWith("P"),
    text: third < 0 ? "" : line.slice(third + 1),
  };
}
