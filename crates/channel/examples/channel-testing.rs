//! What the tests in `packages/atomics` and `packages/channel` run on Wasm threads: Rust on one side of a record, TypeScript
//! on the other. The exports are raw, so that a trap in one thread leaves the others usable.

#[path = "support/pairs.rs"]
mod pairs;
#[path = "../../atomics/examples/support/task.rs"]
mod task;

use core::{cell::UnsafeCell, ptr::NonNull};
use heddle_atomics::{Mutex, RawMutex, RawSemaphore};
use heddle_channel::{
    Select, ThreadBound, TryRecvError, broadcast,
    bytes::{self, Options, Receiver, Sender, TrySendError},
    codec::{self, Decode, Encode},
    fixed::Fixed,
    json::Json,
    msgpack::{MessagePack, Timestamp},
    watch,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use task::{Task, begin};
use zerocopy::{Immutable, IntoBytes, TryFromBytes};

/// A number that is safe to change with the lock only.
struct Counter {
    lock: RawMutex,
    value: UnsafeCell<u32>,
}

// SAFETY: `value` is reached with `lock` held only; TypeScript does the same.
unsafe impl Sync for Counter {}

static COUNTER: Counter = Counter {
    lock: RawMutex::new(),
    value: UnsafeCell::new(0),
};

static SEMAPHORE: RawSemaphore = RawSemaphore::new(0);

/// Where the counter's mutex is.
#[unsafe(no_mangle)]
pub extern "C" fn counter_lock() -> *const RawMutex {
    &raw const COUNTER.lock
}

/// Where the counter's value is.
#[unsafe(no_mangle)]
pub extern "C" fn counter_value() -> *mut u32 {
    COUNTER.value.get()
}

/// Adds 1 to the counter `times` times, each time under its lock, without an atomic operation.
#[unsafe(no_mangle)]
pub extern "C" fn counter_increment(times: u32) {
    for _ in 0..times {
        let _poisoned = COUNTER.lock.lock();
        // SAFETY: with the lock; volatile, so that each addition is a load and a store of its own.
        unsafe {
            let value = COUNTER.value.get().read_volatile();
            COUNTER.value.get().write_volatile(value + 1);
            COUNTER.lock.unlock();
        }
    }
}

/// Takes the counter's lock and dies with it.
#[unsafe(no_mangle)]
pub extern "C" fn counter_trap() {
    let _poisoned = COUNTER.lock.lock();
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

/// Takes the counter's lock: 1 if it is poisoned, else 0. Lets go of it again.
#[unsafe(no_mangle)]
pub extern "C" fn counter_is_poisoned() -> u32 {
    let poisoned = COUNTER.lock.lock();
    // SAFETY: taken above.
    unsafe { COUNTER.lock.unlock() };
    u32::from(poisoned == heddle_atomics::Poisoned::Yes)
}

/// Declares the counter sound again.
#[unsafe(no_mangle)]
pub extern "C" fn counter_clear_poison() {
    COUNTER.lock.clear_poison();
}

/// Where the semaphore is; it has no permits at first.
#[unsafe(no_mangle)]
pub extern "C" fn semaphore() -> *const RawSemaphore {
    &raw const SEMAPHORE
}

/// Takes so many permits, one after the other.
#[unsafe(no_mangle)]
pub extern "C" fn semaphore_acquire(count: u32) {
    for _ in 0..count {
        SEMAPHORE.acquire(1);
    }
}

/// Makes a channel that lives for ever, and returns where.
#[unsafe(no_mangle)]
pub extern "C" fn channel_new(capacity: u32, ring_size: u32) -> *mut u8 {
    let (sender, receiver) = bytes::channel(Options {
        capacity,
        ring_size,
        ..Options::default()
    });
    let address = sender.address().as_ptr();
    // The record stays, and so do these two ends: the tests close the channel in so many words.
    core::mem::forget((sender, receiver));
    address
}

/// Receives from one channel until it is closed and sends each message, reversed, into another. Closes that one in the end.
///
/// # Safety
/// There are channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_reverse(from: *mut u8, to: *mut u8) -> u32 {
    let (Some(from), Some(to)) = (NonNull::new(from), NonNull::new(to)) else {
        return u32::MAX;
    };
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    let ends = unsafe { (Receiver::open(from), Sender::open(to)) };
    let (Ok(receiver), Ok(sender)) = ends else {
        return u32::MAX;
    };
    let mut count = 0;
    for mut message in receiver.iter() {
        message.reverse();
        if sender.send(&message).is_err() {
            break;
        }
        count += 1;
    }
    sender.close();
    count
}

/// [`channel_reverse`] as a task, which gives 1 and the number of messages.
///
/// # Safety
/// As [`channel_reverse`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_reverse_task(from: *mut u8, to: *mut u8) -> *mut Task {
    let (from, to) = (NonNull::new(from).unwrap(), NonNull::new(to).unwrap());
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    let ends = unsafe { (Receiver::open(from), Sender::open(to)) };
    let (receiver, sender) = (ends.0.unwrap(), ends.1.unwrap());
    begin(async move {
        let mut count = 1;
        while let Ok(mut message) = receiver.recv_async().await {
            message.reverse();
            // In turn: a copy, and where the message goes, if it goes there in one piece.
            let is_short = message.len() <= sender.max_message_len();
            if count % 2 == 0 && is_short && sender.capacity() > 0 {
                let mut place = sender.reserve_async(message.len()).await.unwrap();
                place.copy_from_slice(&message);
                place.commit().unwrap();
            } else {
                sender.send_async(&message).await.unwrap();
            }
            count += 1;
        }
        sender.close();
        count
    })
}

/// A task that waits for a message; it gives 1 and the message's length.
///
/// # Safety
/// There is a channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_recv_task(from: *mut u8) -> *mut Task {
    let from = NonNull::new(from).unwrap();
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    let receiver = unsafe { Receiver::open(from) }.unwrap();
    begin(async move { 1 + receiver.borrow_async().await.unwrap().len() as u32 })
}

/// A task that receives from two channels, each time from one that a select finds with a message, until both are closed; it gives 1 and
/// how many there were.
///
/// # Safety
/// There are channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_select_task(at: *mut u8, other: *mut u8) -> *mut Task {
    let receivers = [at, other].map(|at| {
        // SAFETY: of the caller; channels of `channel_new` live for ever.
        unsafe { Receiver::open(NonNull::new(at).unwrap()) }.unwrap()
    });
    begin(async move {
        let mut count = 1;
        let mut open: Vec<&Receiver> = receivers.iter().collect();
        while !open.is_empty() {
            let mut select = Select::new();
            for receiver in &open {
                select.recv(*receiver);
            }
            let ready = select.ready_async().await;
            match open[ready].try_recv() {
                Ok(_) => count += 1,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => drop(open.remove(ready)),
            }
        }
        count
    })
}

/// Opens a sending end, binds it to this thread, which never drops it, and sends a byte; 1 if the end goes with the thread.
///
/// # Safety
/// There is a channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_bind_sender(at: *mut u8) -> u32 {
    // SAFETY: of the caller; channels of `pair_create` live for ever.
    let sender = unsafe { Sender::open(NonNull::new(at).unwrap()) }.unwrap();
    let bound = sender.bind_to_thread();
    bound.send(&[7]).unwrap();
    let is_bound = ThreadBound::is_bound(&bound);
    core::mem::forget(bound);
    u32::from(is_bound)
}

/// Opens a receiving end and binds it to this thread, which never drops it; 1 if the end goes with the thread.
///
/// # Safety
/// There is a channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_bind_receiver(at: *mut u8) -> u32 {
    // SAFETY: of the caller; channels of `pair_create` live for ever.
    let receiver = unsafe { Receiver::open(NonNull::new(at).unwrap()) }.unwrap();
    let bound = receiver.bind_to_thread();
    let is_bound = ThreadBound::is_bound(&bound);
    core::mem::forget(bound);
    u32::from(is_bound)
}

/// Ends this thread's work in the middle.
#[unsafe(no_mangle)]
pub extern "C" fn trap() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

/// Sends the numbers `start..start + count` as messages of 4 bytes.
///
/// # Safety
/// There is a channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_send_numbers(to: *mut u8, start: u32, count: u32) -> u32 {
    let Some(to) = NonNull::new(to) else { return 0 };
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    let Ok(sender) = (unsafe { Sender::open(to) }) else {
        return 0;
    };
    (start..start + count)
        .map_while(|n| sender.send(&n.to_le_bytes()).ok())
        .count() as u32
}

/// Receives messages of 4 bytes until the channel is closed: their sum, modulo 2^32.
///
/// # Safety
/// There is a channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_sum_numbers(from: *mut u8) -> u32 {
    let Some(from) = NonNull::new(from) else {
        return 0;
    };
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    let Ok(receiver) = (unsafe { Receiver::open(from) }) else {
        return 0;
    };
    let numbers = core::iter::from_fn(|| {
        receiver
            .recv_with(|message| u32::from_le_bytes(message.try_into().unwrap_or_default()))
            .ok()
    });
    numbers.fold(0, u32::wrapping_add)
}

/// A number so often that its bytes are of one of sixteen lengths: part of it is no number, and neither are parts of two.
fn repeated(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + number as usize % 16)
}

/// The number in the bytes of [`repeated`]; anything else is a panic, which traps.
fn number_of(bytes: &[u8]) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().unwrap_or_default());
    assert_eq!(bytes, repeated(number), "torn");
    number
}

/// Makes a broadcast channel that lives for ever and keeps whatever the tests send, and returns where.
#[unsafe(no_mangle)]
pub extern "C" fn broadcast_new() -> *mut u8 {
    let ends = broadcast::channel(broadcast::Options {
        capacity: 1 << 14,
        ring_size: 1 << 20,
        back_pressure: false,
    });
    let address = ends.0.address().as_ptr();
    // As in `channel_new`.
    core::mem::forget(ends);
    address
}

/// Sends the numbers `start..start + count`, repeated.
///
/// # Safety
/// There is a broadcast channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_send_numbers(to: *mut u8, start: u32, count: u32) -> u32 {
    let to = NonNull::new(to).unwrap();
    // SAFETY: of the caller; channels of `broadcast_new` live for ever.
    let sender = unsafe { broadcast::Sender::open(to) }.unwrap();
    let sent = (start..start + count).map_while(|n| sender.send(&repeated(n)).ok());
    sent.count() as u32
}

/// Receives all numbers that were ever sent until the channel is closed. What it returns depends on all of them and their order.
///
/// # Safety
/// There is a broadcast channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_digest(from: *mut u8) -> u32 {
    let from = NonNull::new(from).unwrap();
    // SAFETY: of the caller; channels of `broadcast_new` live for ever.
    let mut receiver = unsafe { broadcast::Receiver::open(from, Some(0)) }.unwrap();
    let mut digest = 0_u32;
    loop {
        match receiver.recv() {
            Ok(bytes) => digest = digest.wrapping_mul(31).wrapping_add(number_of(&bytes)),
            Err(broadcast::RecvError::Closed) => return digest,
            Err(broadcast::RecvError::Lagged(count)) => panic!("{count} messages are gone"),
        }
    }
}

/// [`broadcast_send_numbers`] as a task, which gives 1 and how many it sent.
///
/// # Safety
/// As [`broadcast_send_numbers`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_send_numbers_task(
    to: *mut u8,
    start: u32,
    count: u32,
) -> *mut Task {
    let to = NonNull::new(to).unwrap();
    // SAFETY: of the caller; channels of `broadcast_new` live for ever.
    let sender = unsafe { broadcast::Sender::open(to) }.unwrap();
    begin(async move {
        for n in start..start + count {
            sender.send_async(&repeated(n)).await.unwrap();
        }
        1 + count
    })
}

/// [`broadcast_digest`] as a task.
///
/// # Safety
/// As [`broadcast_digest`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_digest_task(from: *mut u8) -> *mut Task {
    let from = NonNull::new(from).unwrap();
    // SAFETY: of the caller; channels of `broadcast_new` live for ever.
    let mut receiver = unsafe { broadcast::Receiver::open(from, Some(0)) }.unwrap();
    begin(async move {
        let mut digest = 0_u32;
        loop {
            match receiver.recv_async().await {
                Ok(bytes) => digest = digest.wrapping_mul(31).wrapping_add(number_of(&bytes)),
                Err(broadcast::RecvError::Closed) => return digest,
                Err(broadcast::RecvError::Lagged(count)) => panic!("{count} messages are gone"),
            }
        }
    })
}

/// A task that sends the numbers `1..=count`, repeated, to each of two broadcast channels, each time to one that a select finds with room;
/// it gives 1 and how many were sent until one of them was closed.
///
/// # Safety
/// There are broadcast channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_select_task(
    at: *mut u8,
    other: *mut u8,
    count: u32,
) -> *mut Task {
    let senders = [at, other].map(|at| {
        // SAFETY: of the caller; channels of `broadcast_new` live for ever.
        unsafe { broadcast::Sender::open(NonNull::new(at).unwrap()) }.unwrap()
    });
    begin(async move {
        let mut next = [1; 2];
        loop {
            let open: Vec<usize> = (0..2).filter(|&i| next[i] <= count).collect();
            let sent = next[0] + next[1] - 2;
            if open.is_empty() {
                return 1 + sent;
            }
            let messages: Vec<_> = open.iter().map(|&i| repeated(next[i])).collect();
            let mut select = Select::new();
            for (&i, message) in open.iter().zip(&messages) {
                select.send_len(&senders[i], message.len());
            }
            let ready = select.ready_async().await;
            match senders[open[ready]].try_send(&messages[ready]) {
                Ok(()) => next[open[ready]] += 1,
                Err(TrySendError::Full) => {}
                Err(TrySendError::Closed) => return 1 + sent,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// Closes a broadcast channel.
///
/// # Safety
/// There is a broadcast channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn broadcast_close(at: *mut u8) {
    let at = NonNull::new(at).unwrap();
    // SAFETY: of the caller; channels of `broadcast_new` live for ever.
    unsafe { broadcast::Sender::open(at) }.unwrap().close();
}

/// Makes a watch channel that lives for ever and has the number 0, and returns where.
#[unsafe(no_mangle)]
pub extern "C" fn watch_new() -> *mut u8 {
    let ends = watch::channel(&repeated(0), 64);
    let address = ends.0.address().as_ptr();
    // As in `channel_new`.
    core::mem::forget(ends);
    address
}

/// Makes the numbers `1..=count` the value, one after the other, and closes the channel.
///
/// # Safety
/// There is a watch channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn watch_count(at: *mut u8, count: u32) {
    let at = NonNull::new(at).unwrap();
    // SAFETY: of the caller; channels of `watch_new` live for ever.
    let sender = unsafe { watch::Sender::open(at) }.unwrap();
    for number in 1..=count {
        sender.send(&repeated(number)).unwrap();
    }
    sender.close();
}

/// Follows the value until the channel is closed: the last number. That none is less than the one before is a panic otherwise.
///
/// # Safety
/// There is a watch channel at the address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn watch_follow(at: *mut u8) -> u32 {
    let at = NonNull::new(at).unwrap();
    // SAFETY: of the caller; channels of `watch_new` live for ever.
    let mut receiver = unsafe { watch::Receiver::open(at) }.unwrap();
    let mut last = number_of(&receiver.borrow_and_update());
    while receiver.changed().is_ok() {
        let number = number_of(&receiver.borrow_and_update());
        assert!(number >= last, "back in time");
        last = number;
    }
    last
}

/// [`watch_follow`] as a task.
///
/// # Safety
/// As [`watch_follow`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn watch_follow_task(at: *mut u8) -> *mut Task {
    let at = NonNull::new(at).unwrap();
    // SAFETY: of the caller; channels of `watch_new` live for ever.
    let mut receiver = unsafe { watch::Receiver::open(at) }.unwrap();
    begin(async move {
        let mut last = number_of(&receiver.borrow_and_update_async().await);
        while receiver.changed_async().await.is_ok() {
            let number = number_of(&receiver.borrow_async().await);
            assert!(number >= last, "back in time");
            last = number;
        }
        last
    })
}

/// A value of everything that serde has, as TypeScript sends it.
#[derive(Serialize, Deserialize)]
struct Reading {
    id: u64,
    delta: i64,
    ratio: f64,
    coarse: f32,
    name: String,
    note: Option<String>,
    is_new: bool,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    numbers: Vec<u8>,
    at: Timestamp,
    kind: Kind,
    pair: (u8, String),
    by_name: BTreeMap<String, i32>,
    by_number: BTreeMap<u32, String>,
    children: Vec<Reading>,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Plain,
    Newtype(String),
    Tuple(u8, u8),
    Struct { x: f64 },
}

/// Receives values until the channel is closed and sends on what becomes of each. What is no value is sent on as it came. Closes the other
/// channel in the end, and returns how many were none.
///
/// # Safety
/// There are channels at both addresses, which live for ever.
unsafe fn echo<T, C: Encode<T> + Decode<T>>(
    from: *mut u8,
    to: *mut u8,
    change: impl Fn(T) -> T,
) -> u32 {
    let (Some(from), Some(to)) = (NonNull::new(from), NonNull::new(to)) else {
        return u32::MAX;
    };
    // SAFETY: of the caller.
    let ends = unsafe {
        (
            codec::Receiver::<T, C>::open(from),
            codec::Sender::<T, C>::open(to),
        )
    };
    let (Ok(receiver), Ok(sender)) = ends else {
        return u32::MAX;
    };
    let mut strangers = 0;
    for value in &receiver {
        let is_sent = match value {
            Ok(value) => sender.send(change(value)).is_ok(),
            Err(error) => {
                strangers += 1;
                sender.as_bytes().send(&error.bytes).is_ok()
            }
        };
        if !is_sent {
            break;
        }
    }
    sender.close();
    strangers
}

/// Sends readings on as they came.
///
/// # Safety
/// There are channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_echo_readings(from: *mut u8, to: *mut u8) -> u32 {
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    unsafe { echo::<Reading, MessagePack>(from, to, |reading| reading) }
}

/// A value of what JSON has, as TypeScript sends it.
#[derive(Serialize, Deserialize)]
struct Notice {
    id: u64,
    ratio: f64,
    text: String,
    note: Option<String>,
    is_new: bool,
    kind: Kind,
    pair: (i8, String),
    by_name: BTreeMap<String, i32>,
    by_number: BTreeMap<u32, String>,
    children: Vec<Notice>,
}

/// Sends notices on as they came.
///
/// # Safety
/// There are channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_echo_notices(from: *mut u8, to: *mut u8) -> u32 {
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    unsafe { echo::<Notice, Json>(from, to, |notice| notice) }
}

/// A fixed struct, as `structCodec` lays it.
#[derive(Immutable, IntoBytes, TryFromBytes)]
#[repr(C)]
struct Sample {
    flag: bool,
    _unused_0: [u8; 7],
    x: f64,
    hits: u32,
    tag: [u8; 5],
    _unused_1: u8,
    list: [u16; 3],
}

/// Sends samples on, doubled.
///
/// # Safety
/// There are channels at both addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn channel_double_samples(from: *mut u8, to: *mut u8) -> u32 {
    let double = |mut sample: Sample| {
        sample.flag = !sample.flag;
        sample.x *= 2.0;
        sample.hits *= 2;
        sample.tag.reverse();
        sample.list.reverse();
        sample
    };
    // SAFETY: of the caller; channels of `channel_new` live for ever.
    unsafe { echo::<Sample, Fixed>(from, to, double) }
}

/// How long the uncontended lock and unlock take: does `times` of them.
#[unsafe(no_mangle)]
pub extern "C" fn bench_lock(times: u32) {
    let mutex = Mutex::new(0_u32);
    for _ in 0..times {
        *mutex.lock().unwrap_or_else(|poison| poison.into_inner()) += 1;
    }
    core::hint::black_box(mutex);
}
