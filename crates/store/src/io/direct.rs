//! Node's `fs.readSync`, `fs.writeSync` and `fs.fdatasyncSync`, called by the thread that asks.
//!
//! Descriptors belong to the process, and these calls take a view of shared memory: no bytes are copied on the way.

use std::cell::RefCell;

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{FileId, IoError, IoErrorCode, IoResult};

#[wasm_bindgen]
extern "C" {
    /// Node's `process.getBuiltinModule`, the way to `node:fs` without an import that browsers can't resolve.
    #[wasm_bindgen(js_namespace = process, js_name = getBuiltinModule, catch)]
    fn builtin_module(name: &str) -> Result<Fs, JsValue>;

    type Fs;

    #[wasm_bindgen(method, js_name = readSync, catch)]
    fn read_sync(
        this: &Fs,
        file: u32,
        view: &Uint8Array,
        at: u32,
        length: u32,
        position: f64,
    ) -> Result<u32, JsValue>;

    #[wasm_bindgen(method, js_name = writeSync, catch)]
    fn write_sync(
        this: &Fs,
        file: u32,
        view: &Uint8Array,
        at: u32,
        length: u32,
        position: f64,
    ) -> Result<u32, JsValue>;

    #[wasm_bindgen(method, js_name = fdatasyncSync, catch)]
    fn fdatasync_sync(this: &Fs, file: u32) -> Result<(), JsValue>;
}

/// What a thread needs for direct access; made with its first one.
struct Access {
    fs: Fs,
    /// The whole memory, as large as it was when this was made.
    view: Uint8Array,
}

thread_local! {
    static ACCESS: RefCell<Option<Access>> = const { RefCell::new(None) };
}

/// Fills `buffer` from `offset`; returns fewer bytes only at the file's end.
pub(super) fn read(file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
    let start = buffer.as_mut_ptr().addr();
    transfer("read", start, buffer.len(), |access, done| {
        let (at, left) = (start + done, buffer.len() - done);
        access.fs.read_sync(
            file.0,
            &access.view,
            at as u32,
            left as u32,
            (offset + done as u64) as f64,
        )
    })
}

/// Writes the whole of `bytes` at `offset`.
pub(super) fn write(file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
    let start = bytes.as_ptr().addr();
    let written = transfer("write", start, bytes.len(), |access, done| {
        let (at, left) = (start + done, bytes.len() - done);
        access.fs.write_sync(
            file.0,
            &access.view,
            at as u32,
            left as u32,
            (offset + done as u64) as f64,
        )
    })?;
    if written == bytes.len() {
        return Ok(());
    }
    Err(IoError::new(
        IoErrorCode::Other,
        "write",
        "",
        format!("the host took {written} of {} bytes", bytes.len()),
    ))
}

/// Makes the file's bytes and size durable.
pub(super) fn sync(file: FileId) -> IoResult<()> {
    ACCESS.with_borrow_mut(|access| {
        let access = match access {
            Some(access) => access,
            absent => absent.insert(Access::new().map_err(|error| host_error("sync", &error))?),
        };
        access
            .fs
            .fdatasync_sync(file.0)
            .map_err(|error| host_error("sync", &error))
    })
}

/// Repeats `step` until `length` bytes are through or it makes no progress.
fn transfer(
    verb: &'static str,
    start: usize,
    length: usize,
    mut step: impl FnMut(&Access, usize) -> Result<u32, JsValue>,
) -> IoResult<usize> {
    ACCESS.with_borrow_mut(|access| {
        let end = (start + length) as u32;
        // A view ends where the memory ended when it was made.
        let access = match access {
            Some(access) if access.view.length() >= end => access,
            stale => stale.insert(Access::new().map_err(|error| host_error(verb, &error))?),
        };
        let mut done = 0;
        while done < length {
            match step(access, done) {
                Ok(0) => break,
                Ok(count) => done += count as usize,
                Err(error) => return Err(host_error(verb, &error)),
            }
        }
        Ok(done)
    })
}

impl Access {
    fn new() -> Result<Self, JsValue> {
        let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
        Ok(Self {
            fs: builtin_module("node:fs")?,
            view: Uint8Array::new(&memory.buffer()),
        })
    }
}

/// Node's error: its `code` tells the kind.
fn host_error(verb: &'static str, error: &JsValue) -> IoError {
    let property = |name: &str| {
        Reflect::get(error, &name.into())
            .ok()
            .and_then(|value| value.as_string())
    };
    let code = match property("code").as_deref() {
        Some("ENOSPC" | "EDQUOT" | "EFBIG") => IoErrorCode::NoSpace,
        Some("EACCES" | "EPERM" | "EROFS") => IoErrorCode::PermissionDenied,
        Some("EBADF") => IoErrorCode::Closed,
        _ => IoErrorCode::Other,
    };
    IoError::new(
        code,
        verb,
        "",
        property("message").unwrap_or_else(|| "the host failed".to_owned()),
    )
}
