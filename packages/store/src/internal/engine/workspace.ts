/** Where the engine is when this package runs from its sources: where the workspace builds it. `packed.ts` is for everybody else. */

/** The Wasm module. */
export const engineModule: URL = new URL('../../../../../target/wasm/bindgen/heddle-store/heddle_store_bg.wasm', import.meta.url);

/** The JavaScript that wasm-bindgen made for it. */
export const engineGlue: URL = new URL('../../../../../target/wasm/bindgen/heddle-store/heddle_store.js', import.meta.url);
