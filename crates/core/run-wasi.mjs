// Runs a test of the core as WebAssembly in Node: the runner of `cargo test --target wasm32-…`.
//
// For wasm32-wasip1, Node's WASI is the system. wasm32-unknown-unknown has none: no arguments, no output, no exit. The
// test harness runs there all the same, one test after the other; a failure is a trap, and the functions on the stack
// tell which test it was.

import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const module = await WebAssembly.compile(await readFile(file));
const isWasi = WebAssembly.Module.imports(module).some((item) => item.module === "wasi_snapshot_preview1");
Error.stackTraceLimit = 100;

try {
  if (isWasi) {
    // A panic ends the process, so nothing may be held back until its test has ended.
    const wasi = new WASI({ version: "preview1", args: [file, "--no-capture", ...args], returnOnExit: true });
    process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
  } else {
    const start = performance.now();
    const { exports } = await WebAssembly.instantiate(module, {});
    process.exitCode = exports.main(0, 0);
    console.log(`${process.exitCode === 0 ? "passed" : "failed"} in ${((performance.now() - start) / 1000).toFixed(2)} s`);
  }
} catch (error) {
  const functions = error.stack.split("\n").map((line) => line.replace(/\(wasm:.*/, ""));
  console.error(`\n${functions.join("\n")}`);
  process.exitCode = 101;
}
