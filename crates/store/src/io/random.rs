//! Random bytes from the host, for every crate of the module.
//!
//! `crypto.getRandomValues` refuses views of shared memory, so the bytes take the way over a buffer of their own.

use getrandom::Error;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// The most bytes `getRandomValues` gives at once.
const CHUNK_SIZE: usize = 65_536;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues, catch)]
    fn get_random_values(target: &Uint8Array) -> Result<(), JsValue>;
}

/// What getrandom 0.3 and later call where they are built with `getrandom_backend="custom"`.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    target: *mut u8,
    length: usize,
) -> Result<(), Error> {
    let mut done = 0;
    while done < length {
        let count = CHUNK_SIZE.min(length - done);
        let bytes = Uint8Array::new_with_length(count as u32);
        get_random_values(&bytes).map_err(|_| Error::UNEXPECTED)?;
        let bytes = bytes.to_vec();
        // SAFETY: getrandom passes `length` writable bytes, of which `done + count` are at most all.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.add(done), count) };
        done += count;
    }
    Ok(())
}
