/** Where the Wasm module is that the tests of the I/O thread run: built by `build:wasm` of the crate heddle-store. */
export const storeTesting: { readonly module: URL; readonly glue: URL } = {
  module: new URL('../../../../target/wasm/bindgen/store-testing/store_testing_bg.wasm', import.meta.url),
  glue: new URL('../../../../target/wasm/bindgen/store-testing/store_testing.js', import.meta.url),
};
