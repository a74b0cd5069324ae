//! The functions of C's library that SQLite needs and a bare Wasm target lacks. Rust's compiler runtime brings `memcpy`,
//! `memset`, `memmove`, `memcmp` and the mathematical functions but one.
//!
//! # Safety
//! Each function asks of its caller what C does: pointers to NUL-terminated strings, or to as many bytes as are named.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(string: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: reads up to the end mark.
    while unsafe { *string.add(length) } != 0 {
        length += 1;
    }
    length
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memchr(bytes: *const c_void, wanted: c_int, count: usize) -> *mut c_void {
    let bytes = bytes.cast::<u8>();
    // SAFETY: reads `count` bytes at most.
    let found = (0..count).find(|&index| unsafe { *bytes.add(index) } == wanted as u8);
    // SAFETY: inside the same bytes.
    found.map_or(ptr::null_mut(), |index| unsafe {
        bytes.add(index).cast_mut().cast()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strcmp(left: *const c_char, right: *const c_char) -> c_int {
    // SAFETY: stops at the first end mark.
    unsafe { strncmp(left, right, usize::MAX) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strncmp(left: *const c_char, right: *const c_char, count: usize) -> c_int {
    for index in 0..count {
        // SAFETY: both strings go on at least to here, for no end mark was met before.
        let (a, b) = unsafe { (*left.add(index) as u8, *right.add(index) as u8) };
        if a != b || a == 0 {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strchr(string: *const c_char, wanted: c_int) -> *mut c_char {
    let mut place = string;
    loop {
        // SAFETY: reads up to the end mark, which may itself be wanted.
        let byte = unsafe { *place };
        if byte == wanted as c_char {
            return place.cast_mut();
        }
        if byte == 0 {
            return ptr::null_mut();
        }
        // SAFETY: not behind the end mark.
        place = unsafe { place.add(1) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strrchr(string: *const c_char, wanted: c_int) -> *mut c_char {
    // SAFETY: the caller's string, its end mark included.
    let bytes = unsafe { std::slice::from_raw_parts(string.cast::<u8>(), strlen(string) + 1) };
    let found = bytes.iter().rposition(|byte| *byte == wanted as u8);
    // SAFETY: inside the same bytes.
    found.map_or(ptr::null_mut(), |index| unsafe {
        string.add(index).cast_mut()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strspn(string: *const c_char, accepted: *const c_char) -> usize {
    // SAFETY: the caller's strings.
    unsafe { span(string, accepted, true) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strcspn(string: *const c_char, rejected: *const c_char) -> usize {
    // SAFETY: the caller's strings.
    unsafe { span(string, rejected, false) }
}

/// The length of the start of `string` whose bytes are in `set`, or are not. Reads no further: LIKE asks at each byte that may begin a match, and
/// with the length of the rest that was the product of the text's with itself.
unsafe fn span(string: *const c_char, set: *const c_char, inside: bool) -> usize {
    // SAFETY: the caller's set, without its end mark.
    let set = unsafe { std::slice::from_raw_parts(set, strlen(set)) };
    let mut length = 0;
    loop {
        // SAFETY: no end mark was met before.
        let byte = unsafe { *string.add(length) };
        if byte == 0 || set.contains(&byte) != inside {
            return length;
        }
        length += 1;
    }
}

#[unsafe(no_mangle)]
extern "C" fn atanh(number: f64) -> f64 {
    // Rust computes it from `ln_1p`, not by calling this function.
    number.atanh()
}

/// SQLite calls this when it starts; the files come later, from [`super::register_vfs`].
#[unsafe(no_mangle)]
unsafe extern "C" fn sqlite3_os_init() -> c_int {
    super::vfs::register_default()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sqlite3_os_end() -> c_int {
    rusqlite::ffi::SQLITE_OK
}
