/** Disk comes in by this door where durability matters, so that the simulator can lose what was never synced. */
export interface Files {
  /** Opens for reading and appending; made when absent, durably (its folder is synced). */
  openAppend(path: string): Promise<AppendFile>;
  /** Whole content; undefined when absent. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces a file so that after a power cut either the old or the new whole content is there. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a folder, sorted; none when it is absent. */
  list(folder: string): Promise<readonly string[]>;
  /** Durable when it answers; no error when absent. */
  remove(path: string): Promise<void>;
  rename(options: { readonly from: string; readonly to: string }): Promise<void>;
  makeFolder(path: string): Promise<void>;
}

/** A file that grows at its end. */
export interface AppendFile extends AsyncDisposable {
  readonly path: string;
  /** Bytes handed to `append` plus what was there at opening. */
  readonly sizeBytes: number;
  /** Hands over bytes; they survive a killed process when the promise resolves, a power cut only after `sync`. */
  append(bytes: Uint8Array): Promise<void>;
  /** fdatasync, off the event loop. */
  sync(): Promise<void>;
  readAt(options: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /** Cuts a torn tail. */
  truncate(sizeBytes: number): Promise<void>;
}
