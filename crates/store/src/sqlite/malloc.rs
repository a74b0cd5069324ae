//! SQLite's memory from Rust's allocator, so that its threads profit from the same caches as everybody's.
//!
//! Rust's allocator wants a block's size back; it stands in the eight bytes before the block.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::ffi;

/// Room for the size, and the alignment SQLite asks for.
const HEADER_SIZE: usize = 8;

pub(super) const METHODS: ffi::sqlite3_mem_methods = ffi::sqlite3_mem_methods {
    xMalloc: Some(allocate),
    xFree: Some(free),
    xRealloc: Some(reallocate),
    xSize: Some(size),
    xRoundup: Some(round_up),
    xInit: Some(init),
    xShutdown: Some(shutdown),
    pAppData: ptr::null_mut(),
};

/// The layout of a whole block, its header included. SQLite's sizes are positive ints, so nothing overflows.
fn layout(size: usize) -> Layout {
    Layout::from_size_align(size + HEADER_SIZE, HEADER_SIZE)
        .expect("a positive int and a header fit a layout")
}

/// # Safety
/// `block` starts a block of [`allocate`] that isn't freed.
unsafe fn size_of_block(block: *mut c_void) -> usize {
    // SAFETY: the header stands before the block.
    unsafe { block.cast::<u8>().sub(HEADER_SIZE).cast::<usize>().read() }
}

unsafe extern "C" fn allocate(size: c_int) -> *mut c_void {
    let size = size as usize;
    // SAFETY: the layout isn't empty, for it has a header.
    let start = unsafe { alloc(layout(size)) };
    if start.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the block begins with its header, aligned to eight.
    unsafe {
        start.cast::<usize>().write(size);
        start.add(HEADER_SIZE).cast()
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: SQLite frees what `allocate` gave, once; the layout is the one it was allocated with.
    unsafe {
        dealloc(
            block.cast::<u8>().sub(HEADER_SIZE),
            layout(size_of_block(block)),
        )
    }
}

unsafe extern "C" fn reallocate(block: *mut c_void, new_size: c_int) -> *mut c_void {
    if block.is_null() {
        // SAFETY: as `allocate`.
        return unsafe { allocate(new_size) };
    }
    let new_size = new_size as usize;
    // SAFETY: a block of `allocate` with its layout; on failure the old block stays as it is, as SQLite expects.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER_SIZE);
        let moved = realloc(start, layout(size_of_block(block)), layout(new_size).size());
        if moved.is_null() {
            return ptr::null_mut();
        }
        moved.cast::<usize>().write(new_size);
        moved.add(HEADER_SIZE).cast()
    }
}

unsafe extern "C" fn size(block: *mut c_void) -> c_int {
    if block.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks about live blocks. The size came from a `c_int`.
    unsafe { size_of_block(block) as c_int }
}

unsafe extern "C" fn round_up(size: c_int) -> c_int {
    size.checked_add(7).map_or(size, |larger| larger & !7)
}

unsafe extern "C" fn init(_data: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shutdown(_data: *mut c_void) {}
