//! Wasm: each worker has its own instance, and an instance has globals of its own.
//!
//! Thread-local storage belongs to a thread, and a worker runs many threads, one after the other. What belongs to the
//! worker (its cache of free objects, its record in the thread runtime) is found through Wasm globals instead: they are
//! there before any thread-local storage is, and stay when it is swapped.

use std::alloc::{GlobalAlloc, Layout, System};
use std::arch::{asm, global_asm};

use crate::cache::ThreadCache;

// Inline assembly below names the type of each global again: inlined into another crate, it stands in another object file.
global_asm!(
    // This worker's cache, or 0.
    ".globaltype heddle_instance_cache, i32",
    ".globl heddle_instance_cache",
    "heddle_instance_cache:",
    // A word for the thread runtime.
    ".globaltype heddle_instance_word, i32",
    ".globl heddle_instance_word",
    "heddle_instance_word:",
    // Both registers of a frame at once, from a function that has none of its own to save.
    ".globaltype __stack_pointer, i32",
    ".globaltype __tls_base, i32",
    ".globl heddle_set_frame",
    ".export_name heddle_set_frame, heddle_set_frame",
    ".type heddle_set_frame,@function",
    "heddle_set_frame:",
    ".functype heddle_set_frame (i32, i32) -> ()",
    "local.get 0",
    "global.set __stack_pointer",
    "local.get 1",
    "global.set __tls_base",
    "end_function",
);

unsafe extern "C" {
    fn heddle_set_frame(stack_pointer: usize, tls_base: usize);
    /// Made by the linker: copies the module's image of thread-local storage to `block` and points `__tls_base` there.
    fn __wasm_init_tls(block: *mut u8);
}

/// Runs `with` on this worker's cache, or returns `None` where there is no memory for one.
#[inline]
pub(crate) fn with_cache<R>(with: impl FnOnce(&mut ThreadCache) -> R) -> Option<R> {
    let mut cache: *mut ThreadCache;
    // SAFETY: reads a global that the assembly above defines.
    unsafe {
        asm!(".globaltype heddle_instance_cache, i32", "global.get heddle_instance_cache", "local.set {}", out(local) cache, options(nomem, nostack))
    };
    if cache.is_null() {
        cache = new_cache();
        if cache.is_null() {
            return None;
        }
    }
    // SAFETY: the cache is this worker's alone, and no code inside its methods allocates through it or runs anything of
    // the program's, so there is no second reference.
    Some(with(unsafe { &mut *cache }))
}

#[cold]
fn new_cache() -> *mut ThreadCache {
    // SAFETY: the layout is not empty.
    let cache: *mut ThreadCache = unsafe { System.alloc(Layout::new::<ThreadCache>()) }.cast();
    if !cache.is_null() {
        // SAFETY: fresh memory of the right layout.
        unsafe { cache.write(ThreadCache::EMPTY) };
        // SAFETY: writes a global that the assembly above defines.
        unsafe {
            asm!(".globaltype heddle_instance_cache, i32", "local.get {}", "global.set heddle_instance_cache", in(local) cache, options(nostack))
        };
    }
    cache
}

/// A word of this instance's own, 0 at first, for the thread runtime to find its records by.
#[inline]
pub fn instance_word() -> usize {
    let word: usize;
    // SAFETY: reads a global that the assembly above defines.
    unsafe {
        asm!(".globaltype heddle_instance_word, i32", "global.get heddle_instance_word", "local.set {}", out(local) word, options(nostack))
    };
    word
}

/// Sets the word that [`instance_word`] returns.
pub fn set_instance_word(word: usize) {
    // SAFETY: writes a global that the assembly above defines.
    unsafe {
        asm!(".globaltype heddle_instance_word, i32", "local.get {}", "global.set heddle_instance_word", in(local) word, options(nostack))
    };
}

/// The stack pointer and the address of the thread-local storage that this worker now uses.
#[inline(never)]
pub fn current_frame() -> (usize, usize) {
    let (stack_pointer, tls_base): (usize, usize);
    // SAFETY: reads globals that every module linked for threads has.
    unsafe {
        asm!(".globaltype __stack_pointer, i32", "global.get __stack_pointer", "local.set {}", out(local) stack_pointer, options(nostack));
        asm!(".globaltype __tls_base, i32", "global.get __tls_base", "local.set {}", out(local) tls_base, options(nostack));
    }
    (stack_pointer, tls_base)
}

/// Runs `run(argument)` on another stack and with fresh thread-local storage, then comes back to this one's.
///
/// # Safety
/// `stack_top` and `tls_base` are those of a [`ThreadBlock`](crate::ThreadBlock) that lives and that nobody else uses, and
/// `run` neither unwinds nor keeps a reference to thread-local storage.
#[inline(never)]
pub unsafe fn enter_frame(
    stack_top: usize,
    tls_base: usize,
    run: unsafe extern "C" fn(usize),
    argument: usize,
) {
    let (stack_pointer, tls_base_before): (usize, usize);
    // SAFETY: reads globals that every module linked for threads has.
    unsafe {
        asm!(".globaltype __stack_pointer, i32", "global.get __stack_pointer", "local.set {}", out(local) stack_pointer, options(nostack));
        asm!(".globaltype __tls_base, i32", "global.get __tls_base", "local.set {}", out(local) tls_base_before, options(nostack));
    }
    // SAFETY: by this function's contract both are a live block's. What this function itself keeps on its stack it
    // addresses through a local that it computed on entry, which the switch doesn't touch.
    unsafe {
        __wasm_init_tls(tls_base as *mut u8);
        heddle_set_frame(stack_top, tls_base);
        run(argument);
        heddle_set_frame(stack_pointer, tls_base_before);
    }
}

/// Makes fresh thread-local storage at `tls_base` this worker's: a copy of the module's image.
///
/// # Safety
/// `tls_base` is that of a [`ThreadBlock`](crate::ThreadBlock) that lives and that nobody else uses, and the caller keeps no
/// reference to the storage before.
pub unsafe fn init_tls(tls_base: usize) {
    // SAFETY: by this function's contract there is a whole block's room.
    unsafe { __wasm_init_tls(tls_base as *mut u8) };
}

/// The thread-local storage that a block must hold: what the linker counted.
pub fn tls_layout() -> Layout {
    let (size, align): (usize, usize);
    // SAFETY: reads constants that the linker defines in every module linked for threads.
    unsafe {
        asm!(
            ".globaltype __tls_size, i32, immutable",
            "global.get __tls_size",
            "local.set {}",
            out(local) size,
            options(nomem, nostack)
        );
        asm!(
            ".globaltype __tls_align, i32, immutable",
            "global.get __tls_align",
            "local.set {}",
            out(local) align,
            options(nomem, nostack)
        );
    }
    // A module without thread-local storage has alignment 0 or 1.
    Layout::from_size_align(size, align.max(1)).expect("the linker gives a power of two")
}
