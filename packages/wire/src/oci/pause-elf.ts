export type Architecture = "x64" | "arm64";

const BASE = 0x400000;
const HEADER_BYTES = 0x78;
const SIGCHLD = 17;

/**
 * A whole ELF program of about 200 bytes for a pod's first container: it ignores SIGCHLD, so that the kernel reaps its children, then waits
 * for ever. Written by hand so that no compiler and no download is needed.
 */
export function pauseElf(architecture: Architecture): Uint8Array {
  const make = architecture === "x64" ? x64Code : arm64Code;
  const codeBytes = make(0).byteLength;
  const actionAt = HEADER_BYTES + codeBytes + ((8 - (codeBytes % 8)) % 8);
  const bytes = new Uint8Array(actionAt + 32);
  bytes.set(elfHeader(architecture, bytes.byteLength));
  bytes.set(make(actionAt), HEADER_BYTES);
  // struct sigaction { handler = SIG_IGN (1), flags, restorer, mask }
  new DataView(bytes.buffer).setBigUint64(actionAt, 1n, true);
  return bytes;
}

function elfHeader(architecture: Architecture, sizeBytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const ident = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]; // \x7fELF, 64 bit, little endian, version 1
  for (const [at, byte] of ident.entries()) view.setUint8(at, byte);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, architecture === "x64" ? 62 : 183, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(BASE + HEADER_BYTES), true); // entry
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // readable, executable
  view.setBigUint64(80, BigInt(BASE), true);
  view.setBigUint64(88, BigInt(BASE), true);
  view.setBigUint64(96, BigInt(sizeBytes), true);
  view.setBigUint64(104, BigInt(sizeBytes), true);
  view.setBigUint64(112, architecture === "x64" ? 0x1000n : 0x10000n, true);
  return new Uint8Array(view.buffer);
}

function x64Code(actionAt: number): Uint8Array {
  const leaEnd = 10 + 7;
  const distance = actionAt - (HEADER_BYTES + leaEnd);
  const leaBytes = [distance & 255, (distance >> 8) & 255, (distance >> 16) & 255, (distance >> 24) & 255];
  const instructions = [
    [0xb8, 13, 0, 0, 0], // mov eax, rt_sigaction
    [0xbf, SIGCHLD, 0, 0, 0], // mov edi, SIGCHLD
    [0x48, 0x8d, 0x35, ...leaBytes], // lea rsi, [rip + action]
    [0x31, 0xd2], // xor edx, edx
    [0x41, 0xba, 8, 0, 0, 0], // mov r10d, 8
    [0x0f, 0x05], // syscall
    [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7], // again: pause(); jmp again
  ];
  return Uint8Array.from(instructions.flat());
}

function arm64Code(actionAt: number): Uint8Array {
  const set = (register: number, value: number): number => (0xd2800000 | (value << 5) | register) >>> 0; // movz
  const call = 0xd4000001; // svc 0
  const distance = actionAt - (HEADER_BYTES + 4);
  const address = (0x10000000 | ((distance & 3) << 29) | ((distance >> 2) << 5) | 1) >>> 0; // adr x1, action
  const words = [
    [set(0, SIGCHLD), address, set(2, 0), set(3, 8), set(8, 134), call], // rt_sigaction
    [set(0, 0), set(1, 0), set(2, 0), set(3, 0), set(8, 73), call], // again: ppoll(0, 0, 0, 0): waits for ever
    [(0x14000000 | (-6 & 0x03ffffff)) >>> 0], // b again
  ].flat();
  const view = new DataView(new ArrayBuffer(words.length * 4));
  for (const [at, word] of words.entries()) view.setUint32(at * 4, word, true);
  return new Uint8Array(view.buffer);
}
