/** A module and its glue, as `WasmRuntime.start` takes them. */
interface BuiltModule {
  readonly module: URL;
  readonly glue: URL;
}

/**
 * Whether threads here may be asked to spawn threads. In Firefox `new Worker` inside a worker now and then never returns (`canNestWorkers` in
 * src/internal/platform/browser.ts tells why), so that such a test would fail as often.
 */
export const canNestWorkers: boolean = !/\bFirefox\//.test(globalThis.navigator?.userAgent ?? '');

/** Where the Wasm modules are that the tests run: built by `build:wasm` of the crate heddle-thread. */
export const modules: { readonly threadTesting: BuiltModule; readonly ecosystemTesting: BuiltModule } = {
  threadTesting: {
    module: new URL('../../../target/wasm/bindgen/thread-testing/thread_testing_bg.wasm', import.meta.url),
    glue: new URL('../../../target/wasm/bindgen/thread-testing/thread_testing.js', import.meta.url),
  },
  ecosystemTesting: {
    module: new URL('../../../target/wasm/bindgen/ecosystem-testing/ecosystem_testing_bg.wasm', import.meta.url),
    glue: new URL('../../../target/wasm/bindgen/ecosystem-testing/ecosystem_testing.js', import.meta.url),
  },
};
