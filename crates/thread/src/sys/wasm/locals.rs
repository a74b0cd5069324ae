//! What libraries keep in thread-local storage, when a thread begins and when it ends.
//!
//! std notes every `thread_local!` value that has a destructor in a list, itself thread-local. On this target it never
//! runs the list, nor lets go of its own handle to the running thread: no code of std learns that a thread ends. And
//! wasm-bindgen keeps in thread-local storage which slots of the table of JavaScript values are free, although the table
//! is the worker's, which runs many threads: a fresh list for each thread would let the table grow with each.
//!
//! All three are private, and none has a function to call. But each can be recognised by what it holds. The first worker
//! does something in thread-local storage of its own that changes each in a known way, and looks where that is to be
//! seen:
//!
//! | what | is where | at a thread's end |
//! |---|---|---|
//! | std's list of destructors | four words are a list of the two values just made, in their order | its entries run, the last first |
//! | std's handle to the thread | the one word is what `Thread::into_raw` gives | it is dropped |
//! | wasm-bindgen's free slots | five words are a list that has just given away two slots | they go back to the worker |
//!
//! # Invariants
//! 1. An offset is used only if exactly one place fits and, for the list, if running it dropped the two values. A std or a
//!    wasm-bindgen that keeps these things otherwise makes this module do nothing, and say so on the console.
//! 2. The linker lays the storage of all threads out alike, so that an offset found once holds for every thread.
//! 3. While a thread runs, its storage has the worker's free slots; else the worker's own ("home") has them. They are in
//!    one place at a time.
//!
//! # Memory orderings
//! The offsets are written inside the `Once` of `heddle_thread_enter`, which every worker passes: Relaxed.

use std::alloc::System;
use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::thread::Thread;

use heddle_memory::ThreadBlock;

/// One of std's entries: a value's address, and what drops it.
type Entry = (*mut u8, unsafe extern "C" fn(*mut u8));
/// std's list. The same types as in std, thus with the same layout.
type List = RefCell<Vec<Entry, System>>;

const WORD: usize = size_of::<u32>();
const LIST_WORDS: usize = size_of::<List>() / WORD;
const SLOTS_WORDS: usize = 5;

/// std's mark of a handle that has been dropped; lower words are no handles either.
const CURRENT_DROPPED: u32 = 2;

/// An offset into thread-local storage that is not known.
const UNKNOWN: usize = usize::MAX;

struct Offsets {
    list: AtomicUsize,
    current: AtomicUsize,
    slots: AtomicUsize,
}

static OFFSETS: Offsets = Offsets {
    list: AtomicUsize::new(UNKNOWN),
    current: AtomicUsize::new(UNKNOWN),
    slots: AtomicUsize::new(UNKNOWN),
};

unsafe extern "C" {
    // wasm-bindgen's own, with these names in every module that it makes.
    fn __externref_table_alloc() -> u32;
    fn __externref_table_dealloc(slot: u32);
}

#[link(wasm_import_module = "__wbindgen_externref_xform__")]
unsafe extern "C" {
    // Instructions and constants that wasm-bindgen puts in the place of these calls.
    fn __wbindgen_externref_table_grow(delta: i32) -> i32;
    fn __wbindgen_externref_statics_end() -> u32;
}

/// Finds what there is to end, once for all threads, in the storage of `block`. To be called by a worker at home, before its
/// first thread.
///
/// Returns what was not found, in words.
pub(super) fn find(block: &mut ThreadBlock) -> impl Iterator<Item = &'static str> {
    let (_, home_tls) = heddle_memory::current_frame();
    // SAFETY: the block is borrowed alone, and `probe` unwinds only by a bug of its own.
    unsafe { heddle_memory::enter_frame(block.stack_top(), block.tls_base(), probe, home_tls) };
    [
        (&OFFSETS.list, "std's list of thread-local destructors"),
        (&OFFSETS.current, "std's handle to the running thread"),
        (&OFFSETS.slots, "wasm-bindgen's list of free slots"),
    ]
    .into_iter()
    .filter(|(offset, _)| offset.load(Relaxed) == UNKNOWN)
    .map(|(_, what)| what)
}

/// Runs in thread-local storage that nothing has been kept in.
unsafe extern "C" fn probe(home_tls: usize) {
    let storage = Storage::current();
    OFFSETS.list.store(find_list(&storage), Relaxed);
    OFFSETS.current.store(find_current(&storage), Relaxed);
    OFFSETS.slots.store(find_slots(&storage), Relaxed);
    run_destructors();
    if DROPPED.load(Relaxed) != 2 {
        OFFSETS.list.store(UNKNOWN, Relaxed);
    }
    leave(home_tls, true);
}

/// The running thread's storage, as words that others write.
struct Storage {
    base: usize,
    word_count: usize,
}

impl Storage {
    fn current() -> Self {
        let (_, base) = heddle_memory::current_frame();
        Storage {
            base,
            word_count: heddle_memory::tls_layout().size() / WORD,
        }
    }

    fn word(&self, index: usize) -> u32 {
        assert!(index < self.word_count, "a word of the storage");
        read_word(self.base + index * WORD)
    }

    /// The offset of the one place of `count` words that fits; UNKNOWN where there is none, or more than one.
    fn find(&self, count: usize, fits: impl Fn(&[u32]) -> bool) -> usize {
        let words: Vec<u32> = (0..self.word_count).map(|index| self.word(index)).collect();
        let mut fitting = (0..(self.word_count + 1).saturating_sub(count))
            .filter(|&first| fits(&words[first..first + count]));
        match (fitting.next(), fitting.next()) {
            (Some(first), None) => first * WORD,
            _ => UNKNOWN,
        }
    }
}

/// Reads shared memory as it is. Whatever the word means, it is a word.
fn read_word(address: usize) -> u32 {
    // SAFETY: callers have checked that the address is aligned and inside the memory. Volatile, because who writes it is
    // nothing that the compiler could know of.
    unsafe { (address as *const u32).read_volatile() }
}

/// The words at an address that may be none.
fn words_at<const N: usize>(address: u32) -> Option<[u32; N]> {
    let address = address as usize;
    let end = address.checked_add(N * WORD)?;
    let memory_size = core::arch::wasm32::memory_size(0) << 16;
    // A memory of 4 GiB has a size of 0 here: every address is inside.
    let inside = memory_size == 0 || end <= memory_size;
    (address != 0 && address.is_multiple_of(WORD) && inside)
        .then(|| std::array::from_fn(|index| read_word(address + index * WORD)))
}

/// A value whose destructor std notes.
struct Noted;

static DROPPED: AtomicU32 = AtomicU32::new(0);

impl Drop for Noted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

thread_local! {
    static FIRST: Noted = const { Noted };
    static SECOND: Noted = const { Noted };
}

fn find_list(storage: &Storage) -> usize {
    let values = [&FIRST, &SECOND].map(|key| key.with(|value| ptr::from_ref(value) as u32));
    // A list of our own tells which word is which.
    let sample: List = RefCell::new(Vec::with_capacity_in(7, System));
    let sample_at = ptr::from_ref(&sample) as u32;
    let words: [u32; LIST_WORDS] = words_at(sample_at).expect("a local is in memory");
    let entries_at = sample.borrow().as_ptr() as u32;
    let place = |word: u32| words.iter().position(|&other| other == word);
    let (Some(address), Some(capacity)) = (place(entries_at), place(7)) else {
        return UNKNOWN;
    };
    // What is left are two words of 0: the length, and that nobody has borrowed the list.
    storage.find(LIST_WORDS, |words| {
        let rest = (0..LIST_WORDS).filter(|&index| index != address && index != capacity);
        let lengths: Vec<u32> = rest.map(|index| words[index]).collect();
        let entries = words_at::<4>(words[address]);
        (lengths == [0, 2] || lengths == [2, 0])
            && words[capacity] >= 2
            && entries.is_some_and(|entries| are_entries_of(entries, values))
    })
}

/// Whether four words are the entries of two values: their addresses, and twice the same function.
fn are_entries_of(entries: [u32; 4], values: [u32; 2]) -> bool {
    let [a, b, c, d] = entries;
    (([a, c] == values && b == d) || ([b, d] == values && a == c))
        && entries.iter().all(|&e| e != 0)
}

fn find_current(storage: &Storage) -> usize {
    let raw = Thread::into_raw(std::thread::current());
    // SAFETY: the pointer is what `into_raw` just gave.
    let handle = unsafe { Thread::from_raw(raw) };
    let offset = storage.find(1, |word| word[0] == raw as u32);
    drop(handle);
    offset
}

fn find_slots(storage: &Storage) -> usize {
    // SAFETY: wasm-bindgen makes both calls an instruction and a constant: by 0 entries the table does not grow.
    let (size, statics_end) = unsafe {
        (
            __wbindgen_externref_table_grow(0),
            __wbindgen_externref_statics_end(),
        )
    };
    if size as u32 != statics_end {
        // Home has a list already, whose slots must stay the table's last.
        return UNKNOWN;
    }
    // SAFETY: slots may be taken and given back at any time on the thread whose they are.
    let slots = unsafe { [__externref_table_alloc(), __externref_table_alloc()] };
    let offset = storage.find(SLOTS_WORDS, |words| {
        let mut words = words.to_vec();
        // The first slot, the length and the next free one, then in some order the list's address and its capacity.
        for known in [slots[0], 2, 2] {
            let Some(index) = words.iter().position(|&word| word == known) else {
                return false;
            };
            words.remove(index);
        }
        let is_list = |address: u32| words_at::<2>(address) == Some([1, 2]);
        (is_list(words[0]) && words[1] >= 2) || (is_list(words[1]) && words[0] >= 2)
    });
    // SAFETY: both were taken above, and nothing has been put there.
    unsafe {
        __externref_table_dealloc(slots[0]);
        __externref_table_dealloc(slots[1]);
    }
    offset
}

fn move_slots(from_tls: usize, to_tls: usize) {
    let offset = OFFSETS.slots.load(Relaxed);
    if offset == UNKNOWN {
        return;
    }
    let (from, to) = (
        (from_tls + offset) as *const u32,
        (to_tls + offset) as *mut u32,
    );
    for index in 0..SLOTS_WORDS {
        // SAFETY: invariant 2: both are words of live storage of this worker. Invariant 3: the list is in one of them,
        // and nobody has borrowed it, since a thread begins or ends.
        unsafe {
            to.add(index)
                .write_volatile(from.add(index).read_volatile())
        };
    }
}

/// The first thing in a thread's own storage.
pub(super) fn enter(home_tls: usize) {
    let (_, tls) = heddle_memory::current_frame();
    move_slots(home_tls, tls);
}

/// Runs the destructors of this thread's `thread_local!` values, also those that are made meanwhile.
///
/// A panic in one is a trap, as std has it abort.
pub(super) fn run_destructors() {
    let offset = OFFSETS.list.load(Relaxed);
    if offset == UNKNOWN {
        return;
    }
    let (_, tls) = heddle_memory::current_frame();
    // SAFETY: by the invariants 1 and 2 this is std's list, which only the running thread touches.
    let list = unsafe { &*((tls + offset) as *const List) };
    loop {
        // Not borrowed while an entry runs: it may note further ones.
        let entry = list.borrow_mut().pop();
        match entry {
            // SAFETY: std noted the entry for exactly this: the thread ends, and each entry runs once.
            Some((value, destructor)) => unsafe { destructor(value) },
            None => break,
        }
    }
    list.replace(Vec::new_in(System));
}

/// The last thing in a thread's own storage. Where the thread ran beyond its stack, std's handle may not be whole.
pub(super) fn leave(home_tls: usize, is_whole: bool) {
    let (_, tls) = heddle_memory::current_frame();
    if is_whole {
        drop_current(tls);
    }
    move_slots(tls, home_tls);
}

fn drop_current(tls: usize) {
    let offset = OFFSETS.current.load(Relaxed);
    if offset == UNKNOWN {
        return;
    }
    let word = (tls + offset) as *mut u32;
    // SAFETY: by the invariants 1 and 2 this is std's word, which only the running thread touches.
    let raw = unsafe { word.read_volatile() };
    if raw > CURRENT_DROPPED {
        // SAFETY: as above. std sets the same mark before it drops its handle.
        unsafe { word.write_volatile(CURRENT_DROPPED) };
        // SAFETY: the word came from `into_raw`, and it is forgotten.
        drop(unsafe { Thread::from_raw(raw as *const ()) });
    }
}
