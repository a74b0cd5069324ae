//! The tasks that wait on words in Wasm: by `Atomics.waitAsync`, in the host's queue beside the threads, so that whoever wakes
//! reaches them, Rust or TypeScript.
//!
//! # Invariants
//! 1. A wait that ends is told to the thread that began it, by its event loop. A future may be dropped or polled on another one.
//! 2. The platform can't withdraw a wait, and one that stayed in the queue would swallow the wake-up of another. So giving up
//!    wakes everybody on that word: our own entry leaves the queue, and the others look again and sleep on. That also passes
//!    on what this one was given.
//! 3. A thread that is about to block can't react to its own pending waits, so before it blocks it takes those out of their
//!    queues in the same way ([`leave_queues`]); their tasks look again when the thread is back. While there are any, TypeScript that blocks
//!    the thread finds that function in a global set, `heddleTaskQueues`, and calls it.
//! 4. A reaper doesn't know of tasks: each thread watches the count of deaths while a wait of its is pending, and has all of
//!    them end when there is one more.
//! 5. A pending wait keeps Node alive, which `Atomics.waitAsync` alone doesn't.
//! 6. An engine without `Atomics.waitAsync` has a helper worker block in our place, if the thread was given that
//!    (`provideWaitAsync`). Such a wait begins later than it was asked for, perhaps after it was given up or its thread blocks. So
//!    besides waking, whoever ends a wait tells the helper (`cancel`): it doesn't begin then, or passes on what it got. A future that is dropped
//!    on another thread can't tell it, so the thread that began the wait passes that on when it hears of it.
//!
//! # Limits
//! An executor that blocks its thread until a task is woken keeps the event loop from telling it: there the blocking forms
//! are to be used. An engine that can't have a task wait at all panics, for a future of a lock has no other answer. Rust that blocks takes only Rust's
//! waits out of their queues (invariant 3), of its own module: a call to the host before each wait would be what most of them cost.

use super::wake_address;
use crate::{Mutex, MutexGuard, registry, seam::AtomicU32};
use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::BTreeMap, sync::Arc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    type Memory;
    #[wasm_bindgen(method, getter)]
    fn buffer(this: &Memory) -> JsValue;

    #[wasm_bindgen(js_name = Int32Array)]
    type Words;
    #[wasm_bindgen(constructor, js_class = "Int32Array")]
    fn new(buffer: &JsValue) -> Words;

    /// What `Atomics.waitAsync` gives.
    type RawWait;
    #[wasm_bindgen(method, getter, js_name = "async")]
    fn is_async(this: &RawWait) -> bool;
    #[wasm_bindgen(method, getter)]
    fn value(this: &RawWait) -> JsValue;
    /// What else gives the wait up, where a helper waits.
    #[wasm_bindgen(method, getter)]
    fn cancel(this: &RawWait) -> Option<Cancel>;

    type Cancel;
    #[wasm_bindgen(method)]
    fn call(this: &Cancel);

    #[wasm_bindgen(js_name = Promise)]
    type Outcome;
    #[wasm_bindgen(method)]
    fn then(this: &Outcome, callback: &JsValue) -> JsValue;

    #[wasm_bindgen(catch, js_namespace = Atomics, js_name = waitAsync)]
    fn raw_wait_async(
        words: &Words,
        index: u32,
        expected: i32,
        timeout_ms: f64,
    ) -> Result<RawWait, JsValue>;

    /// The same by a helper worker, where `provideWaitAsync` of the npm package `@heddle/atomics` has defined it.
    #[wasm_bindgen(catch, js_name = heddleWaitAsync)]
    fn raw_wait_by_helper(
        words: &Words,
        index: u32,
        expected: i32,
        timeout_ms: f64,
    ) -> Result<RawWait, JsValue>;

    #[wasm_bindgen(catch, js_name = setInterval)]
    fn set_interval(callback: &JsValue, interval_ms: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = clearInterval)]
    fn clear_interval(interval: &JsValue);

    type Global;
    #[wasm_bindgen(thread_local_v2, js_name = globalThis)]
    static GLOBAL: Global;
    /// The name that `packages/atomics/src/internal/futex.ts` asks for.
    #[wasm_bindgen(method, structural, getter, js_name = heddleTaskQueues)]
    fn task_queues(this: &Global) -> Option<Queues>;
    #[wasm_bindgen(method, structural, setter, js_name = heddleTaskQueues)]
    fn set_task_queues(this: &Global, queues: &Queues);

    /// Functions that take waits out of their queues, one for each module that has some.
    #[wasm_bindgen(js_name = Set)]
    type Queues;
    #[wasm_bindgen(constructor, js_class = "Set")]
    fn new() -> Queues;
    #[wasm_bindgen(method)]
    fn add(this: &Queues, leave: &JsValue) -> JsValue;
    #[wasm_bindgen(method)]
    fn delete(this: &Queues, leave: &JsValue) -> bool;

    /// A function that does nothing to anybody.
    #[wasm_bindgen(thread_local_v2, js_name = Boolean)]
    static NOTHING: JsValue;
}

/// Of a timer that never fires in practice.
const KEEP_ALIVE_INTERVAL_MS: f64 = 1_073_741_824.0;

/// A wait that the host knows of.
struct Wait {
    address: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the task, as long as it waits.
    waker: Option<Waker>,
    /// How it ended: `false` if the time ran out.
    outcome: Option<bool>,
    /// Whether the future was dropped before.
    is_given_up: bool,
}

impl Wait {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody's code runs under the lock, so nothing there can panic.
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

/// A wait in its thread's list.
struct Listed {
    wait: Arc<Wait>,
    /// Of a wait by a helper.
    cancel: Option<Cancel>,
}

impl Listed {
    /// Takes the wait out of its queue (invariants 2 and 6).
    fn give_up(&self) {
        self.cancel.iter().for_each(Cancel::call);
        wake_all_at(self.wait.address);
    }
}

/// The waits of this thread of which the host hasn't told the end.
struct Pending {
    number_last: u64,
    waits: BTreeMap<u64, Listed>,
    /// Whether this thread will hear of the next death.
    is_watching: bool,
    keep_alive: Option<JsValue>,
    /// What TypeScript calls (invariant 3), while there are waits.
    leaving: Option<Leaving>,
}

/// [`leave_queues`] where TypeScript finds it, as long as this lives.
struct Leaving {
    queues: Queues,
    leave: Closure<dyn Fn()>,
}

impl Leaving {
    fn new() -> Self {
        let queues = GLOBAL.with(|global| {
            global.task_queues().unwrap_or_else(|| {
                let queues = Queues::new();
                global.set_task_queues(&queues);
                queues
            })
        });
        let leave = Closure::<dyn Fn()>::new(leave_queues);
        queues.add(leave.as_ref());
        Self { queues, leave }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.queues.delete(self.leave.as_ref());
    }
}

thread_local! {
    /// How many waits are in the list.
    static PENDING_COUNT: Cell<usize> = const { Cell::new(0) };
    static PENDING: RefCell<Pending> = const {
        RefCell::new(Pending {
            number_last: 0,
            waits: BTreeMap::new(),
            is_watching: false,
            keep_alive: None,
            leaving: None,
        })
    };
}

/// Begins a wait of the host's, which another function may have to give up. `Err` has how it ended at once.
fn begin(
    address: usize,
    expected: u32,
    limit: Option<Duration>,
) -> Result<(Outcome, Option<Cancel>), bool> {
    let memory: Memory = wasm_bindgen::memory().unchecked_into();
    // The memory may have grown: a view of it as it is now.
    let words = Words::new(&memory.buffer());
    let index = u32::try_from(address / size_of::<u32>()).expect("an address has 32 bits");
    let timeout_ms = limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64() * 1000.0);
    let expected = expected.cast_signed();
    let wait = raw_wait_async(&words, index, expected, timeout_ms)
        .or_else(|_| raw_wait_by_helper(&words, index, expected, timeout_ms));
    match wait {
        Ok(wait) if wait.is_async() => Ok((wait.value().unchecked_into(), wait.cancel())),
        Ok(wait) => Err(was_woken(&wait.value())),
        Err(_) => panic!(
            "this engine has no Atomics.waitAsync, so tasks of Rust can't wait here: call provideWaitAsync() of @heddle/atomics \
             on this thread first, or use a form that blocks or one that tries"
        ),
    }
}

fn was_woken(outcome: &JsValue) -> bool {
    *outcome != *"timed-out"
}

/// Invariant 4.
fn watch_deaths() {
    let was_watching =
        PENDING.with_borrow_mut(|pending| core::mem::replace(&mut pending.is_watching, true));
    if was_watching {
        return;
    }
    let address = core::ptr::from_ref(registry::deaths_word()).addr();
    // One that came between the look and the wait: once more.
    let outcome = loop {
        if let Ok((outcome, _)) = begin(address, registry::deaths(), None) {
            break outcome;
        }
    };
    outcome.then(&Closure::once_into_js(|_: JsValue| hear_of_death()));
}

fn hear_of_death() {
    let is_waiting = PENDING.with_borrow_mut(|pending| {
        pending.is_watching = false;
        !pending.waits.is_empty()
    });
    if is_waiting {
        // First the new watch, so that a death meanwhile is heard of, too.
        watch_deaths();
        end_waits();
    }
}

/// Has all pending waits of this thread end.
///
/// It allocates nothing: see [`leave_queues`].
fn end_waits() {
    PENDING.with(|pending| {
        if let Ok(pending) = pending.try_borrow() {
            pending.waits.values().for_each(Listed::give_up);
        }
    });
}

fn wake_all_at(address: usize) {
    wake_address(core::ptr::without_provenance(address), u32::MAX);
}

/// Takes the pending waits of this thread, which is about to block, out of their queues (invariant 3).
///
/// It allocates nothing: an allocator may be what blocks, also while the list is being changed.
#[inline]
pub(super) fn leave_queues() {
    if PENDING_COUNT.get() > 0 {
        end_waits();
    }
}

/// What [`wait_async`](super::wait_async) gives.
#[must_use = "a future does nothing unless it is awaited"]
#[doc(hidden)]
pub struct WaitFuture<'a> {
    word: &'a AtomicU32,
    expected: u32,
    deaths: u32,
    limit: Option<Duration>,
    /// While the task waits, and its number on the thread that began it.
    wait: Option<(u64, Arc<Wait>)>,
}

impl<'a> WaitFuture<'a> {
    pub(super) fn new(
        word: &'a AtomicU32,
        expected: u32,
        deaths: u32,
        limit: Option<Duration>,
    ) -> Self {
        Self {
            word,
            expected,
            deaths,
            limit,
            wait: None,
        }
    }

    fn begin(&mut self, waker: &Waker) -> Poll<bool> {
        watch_deaths();
        let address = core::ptr::from_ref(self.word).addr();
        let (outcome, cancel) = match begin(address, self.expected, self.limit) {
            Ok(begun) => begun,
            Err(was_woken) => return Poll::Ready(was_woken),
        };
        let wait = Arc::new(Wait {
            address,
            state: Mutex::new(State {
                waker: Some(waker.clone()),
                outcome: None,
                is_given_up: false,
            }),
        });
        let by_helper = cancel.is_some();
        let number = PENDING.with_borrow_mut(|pending| {
            pending.number_last += 1;
            let listed = Listed {
                wait: Arc::clone(&wait),
                cancel,
            };
            pending.waits.insert(pending.number_last, listed);
            if pending.keep_alive.is_none() {
                // Some hosts have no timers; those aren't Node (invariant 5).
                let timer = NOTHING.with(|nothing| set_interval(nothing, KEEP_ALIVE_INTERVAL_MS));
                pending.keep_alive = timer.ok();
            }
            pending.leaving.get_or_insert_with(Leaving::new);
            PENDING_COUNT.set(pending.waits.len());
            pending.number_last
        });
        self.wait = Some((number, wait));
        let settle = move |outcome: JsValue| settle(number, was_woken(&outcome), by_helper);
        outcome.then(&Closure::once_into_js(settle));
        if registry::deaths() != self.deaths {
            // The watch may have begun after that one.
            end_waits();
        }
        Poll::Pending
    }
}

/// The host says how a wait of this thread has ended.
fn settle(number: u64, was_woken: bool, by_helper: bool) {
    let wait = PENDING.with_borrow_mut(|pending| {
        let wait = pending.waits.remove(&number);
        PENDING_COUNT.set(pending.waits.len());
        if pending.waits.is_empty() {
            if let Some(timer) = pending.keep_alive.take() {
                clear_interval(&timer);
            }
            pending.leaving = None;
        }
        wait
    });
    let Some(Listed { wait, .. }) = wait else {
        return;
    };
    let (waker, is_given_up) = {
        let mut state = wait.lock();
        state.outcome = Some(was_woken);
        (state.waker.take(), state.is_given_up)
    };
    if is_given_up && by_helper && was_woken {
        // Invariant 6.
        wake_address(core::ptr::without_provenance(wait.address), 1);
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Future for WaitFuture<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Some((_, wait)) = &self.wait else {
            return self.begin(context.waker());
        };
        let waker = context.waker().clone();
        // Dropped without the lock.
        let (outcome, _renewed) = {
            let mut state = wait.lock();
            match state.outcome {
                None => (None, state.waker.replace(waker)),
                outcome => (outcome, None),
            }
        };
        match outcome {
            None => Poll::Pending,
            Some(was_woken) => {
                self.wait = None;
                Poll::Ready(was_woken)
            }
        }
    }
}

impl Drop for WaitFuture<'_> {
    fn drop(&mut self) {
        if let Some((number, wait)) = self.wait.take() {
            let _waker = {
                let mut state = wait.lock();
                state.is_given_up = true;
                state.waker.take()
            };
            PENDING.with(|pending| {
                // The number is another wait's on another thread, and nobody's if the host has told of the end meanwhile.
                if let Ok(pending) = pending.try_borrow()
                    && let Some(listed) = pending.waits.get(&number)
                    && Arc::ptr_eq(&listed.wait, &wait)
                {
                    listed.cancel.iter().for_each(Cancel::call);
                }
            });
            // Invariant 2.
            wake_all_at(wait.address);
        }
    }
}
