/** What a line of a file of mosquitto's cannot be taken for, or need not be. */
export type LineNote = { readonly file: string; readonly line: number; readonly message: string };

/** One line that says something: its first word, and the rest as it stands. */
export type ConfLine = {
  readonly file: string;
  readonly line: number;
  readonly key: string;
  readonly value: string;
};

/** The lines of mosquitto.conf, acl_file and their like: without empty ones and comments; only a `#` at the beginning is one. */
export function confLines(text: string, file: string): readonly ConfLine[] {
  return text.split(/\r?\n/).flatMap((whole, at) => {
    const [, key, value = ""] = /^\s*([^\s#]\S*)\s*(.*?)\s*$/.exec(whole) ?? [];
    return key === undefined ? [] : [{ file, line: at + 1, key, value }];
  });
}
