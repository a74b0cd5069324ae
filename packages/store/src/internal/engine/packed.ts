/** Where the engine is in the published package: beside the compiled code. `workspace.ts` is for those who work on it. */

/** The Wasm module. */
export const engineModule: URL = new URL('../../engine/heddle_store_bg.wasm', import.meta.url);

/** The JavaScript that wasm-bindgen made for it. */
export const engineGlue: URL = new URL('../../engine/heddle_store.js', import.meta.url);
