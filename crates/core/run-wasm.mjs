// Runs a test of the core as WebAssembly in Node: the runner for `cargo test --target wasm32-...`.
//
// For wasm32-wasip1, Node's WASI is the system. wasm32-unknown-unknown has none: no arguments, no output, no exit. The
// test harness runs there all the same, one test after the other; a failure is a trap, and the functions on its stack say
// which test it was.

import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const module = await WebAssembly.compile(await readFile(file));
const imports = new Set(WebAssembly.Module.imports(module).map((item) => item.module));

if (imports.has("wasi_snapshot_preview1")) {
  const wasi = new WASI({ version: "preview1", args: [file, ...args], env: { RUST_BACKTRACE: "0" }, returnOnExit: true });
  process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
} else {
  const { exports } = await WebAssembly.instantiate(module, {});
  Error.stackTraceLimit = 100;
  const start = performance.now();
  try {
    process.exitCode = exports.main(0, 0);
  } catch (error) {
    const functions = error.stack.split("\n").filter((line) => line.includes("pod_identity_core") || line.includes("wasm"));
    console.error(`${file}: a test failed\n${functions.join("\n")}`);
    process.exitCode = 101;
  }
  if (process.exitCode === 0) {
    console.log(`${file}: passed in ${((performance.now() - start) / 1000).toFixed(2)} s`);
  }
}
