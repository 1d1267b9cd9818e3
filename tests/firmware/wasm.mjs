// Runs a WebAssembly program of the firmware: node wasm.mjs FILE. It gets one function, which prints bytes of its memory.
import { readFileSync, writeSync } from "node:fs";

let memory;
const host = {
    print(at, length) {
        for (const end = at + length; at < end; ) at += writeSync(1, new Uint8Array(memory.buffer, at, end - at));
    },
};
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), { host });
memory = instance.exports.memory;
process.exit(instance.exports.program() ? 0 : 1);
