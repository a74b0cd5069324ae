/** What the programs in C, Zig and Rust import: `host.spawn(thread)`, which calls their export `thread_main` on another thread. */

/** @type {import('@heddle/thread').WasmImports} */
export const imports = (host) => ({ host: { spawn: (thread) => void host.spawn('thread_main', thread) } });
