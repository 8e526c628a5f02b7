import type { Machine } from "@cortado/node";

/** The box under a counter, as a simulated node sees it. */
export function storeMachine(name: string): Machine {
  return {
    cpus: 4,
    memoryBytes: 8 * 2 ** 30,
    architecture: "amd64",
    kernel: "6.1.0",
    osImage: "a simulated box",
    machineId: name,
    bootId: name,
    addresses: () => ["192.0.2.7"],
    disk: () => Promise.resolve({ totalBytes: 1e12, freeBytes: 9e11, inodesTotal: 1e6, inodesFree: 9e5 }),
    memoryAvailableBytes: () => Promise.resolve(4 * 2 ** 30),
  };
}
