//! The I/O thread's half of the queue, step by step as `packages/store/src/internal/io/IoServer.ts` has it, and files that know whose they
//! are.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use shuttle::thread;

use super::queue::{Ask, IoQueue, IoRequest};
use crate::layout;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::shared::{forget, record_at, wait, wake};

/// The operation's result, for whoever asked.
pub fn answer_of(engine: u32, file: u32) -> f64 {
    f64::from(1000 * engine + file)
}

/// A mistake of the I/O thread's, or of who asks, that must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It falls asleep without another look at the list.
    SleepsUnseen,
    /// It says that the answer is there before it is.
    AnswersEarly,
    /// It writes the result after it has said that it is there.
    WritesLate,
    /// It takes the list once more after it has seen that its engine was fenced off.
    TakesAfterFence,
    /// It refuses what is in the list, and only then says that it is closed.
    RefusesFirst,
    /// It closes files while descriptors are used.
    ClosesUsed,
    /// It opens its descriptors to an engine whatever has become of that engine.
    StartsAnyway,
}

/// The files of the directory, and what was done to them. Its lock is std's: it is held at no point at which another thread may go on.
#[derive(Default)]
pub struct Files(Mutex<State>);

#[derive(Default)]
struct State {
    /// By descriptor: which engine opened it. The numbers are the process's: they are used again.
    open: BTreeMap<u32, u32>,
    /// How often each file was worked on, by engine and file.
    performed: BTreeMap<(u32, u32), usize>,
    /// Engines whose fence the I/O thread has acknowledged, or whose files it has closed.
    ended: Vec<u32>,
}

impl Files {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn perform(&self, engine: u32, file: u32) {
        let mut state = self.state();
        assert!(
            !state.ended.contains(&engine),
            "a request was served after the end"
        );
        *state.performed.entry((engine, file)).or_default() += 1;
    }

    /// How often a request was performed.
    pub fn count(&self, engine: u32, file: u32) -> usize {
        *self.state().performed.get(&(engine, file)).unwrap_or(&0)
    }

    fn open(&self, engine: u32) -> u32 {
        let mut state = self.state();
        let number = (1..)
            .find(|number| !state.open.contains_key(number))
            .unwrap_or(0);
        state.open.insert(number, engine);
        number
    }

    /// A thread writes by a descriptor, in a few steps.
    pub fn write(&self, engine: u32, descriptor: u32) {
        for _ in 0..8 {
            let owner = self.state().open.get(&descriptor).copied();
            assert_eq!(owner, Some(engine), "another's file was written, or none");
            thread::yield_now();
        }
    }

    fn close(&self, engine: u32) {
        self.state().open.retain(|_, owner| *owner != engine);
    }

    fn end(&self, engine: u32) {
        self.state().ended.push(engine);
    }
}

/// The operation that opens a file; all others just are answered.
pub const OPEN: u32 = layout::IO_OPEN;

/// One that is answered by a promise.
pub const SYNC: u32 = layout::IO_SYNC;

pub const WRITE: u32 = layout::IO_WRITE;

/// What writes by a request are counted as, from this number on.
const WRITES: u32 = 500;

pub const READ: u32 = layout::IO_READ;

pub const CLOSED: u32 = layout::IO_ERROR_CLOSED;

fn new_request(operation: u32, file: u32) -> Arc<IoRequest> {
    std::thread_local! {
        /// The last requests as memory, so that a late write to one is a wrong answer in the model and nothing worse.
        static KEPT: RefCell<VecDeque<Arc<IoRequest>>> = const { RefCell::new(VecDeque::new()) };
    }
    let ask = Ask {
        file,
        ..Ask::default()
    };
    let request = Arc::new(IoRequest::new(operation, ask, 0, 0));
    KEPT.with_borrow_mut(|kept| {
        kept.push_back(request.clone());
        if kept.len() > 64 {
            kept.pop_front();
        }
    });
    request
}

/// A thread of the engine asks.
pub fn ask(queue: &IoQueue, operation: u32, file: u32) -> Result<f64, u32> {
    let request = new_request(operation, file);
    let answer = queue.call(&request);
    // It lay on the thread's stack.
    forget(&*request);
    answer.map_err(|refused| refused.code)
}

/// A fault to be found: a thread asks, and goes on before it has the answer.
pub fn ask_and_leave(queue: &Arc<IoQueue>, file: u32) {
    let request = new_request(READ, file);
    let asks = {
        let (queue, request) = (queue.clone(), request.clone());
        thread::spawn(move || queue.call(&request).is_ok())
    };
    thread::yield_now();
    forget(&*request);
    let _answer = asks.join();
}

/// A thread of the engine writes by a descriptor itself, where it may; else it asks.
pub fn write(queue: &IoQueue, files: &Files, engine: u32, descriptor: u32) -> Result<(), u32> {
    if let Some(_leave) = queue.use_descriptors() {
        files.write(engine, descriptor);
        return Ok(());
    }
    ask(queue, WRITE, WRITES + descriptor).map(drop)
}

/// Whether a thread of the engine may use descriptors itself now.
pub fn may_use_descriptors(queue: &IoQueue) -> bool {
    queue.use_descriptors().is_some()
}

pub fn new_queue() -> Arc<IoQueue> {
    Arc::new(IoQueue::new())
}

/// `closeQueue`
pub fn close(queue: &IoQueue) {
    for state in [layout::IO_IDLE, layout::IO_SERVING] {
        let _unchanged = queue
            .state
            .compare_exchange(state, layout::IO_CLOSING, SeqCst, SeqCst);
    }
    ring(queue);
}

/// `fenceQueue`
pub fn fence(queue: &IoQueue) {
    queue.state.store(layout::IO_CLOSED, SeqCst);
    queue.shares_descriptors.store(0, SeqCst);
    ring(queue);
}

/// `abandonQueue`, and `IoQueue.end`
pub fn end(queue: &IoQueue, mistake: Option<Mistake>) {
    if mistake == Some(Mistake::RefusesFirst) {
        for request in take(queue) {
            fail(request);
        }
    }
    queue.state.store(layout::IO_CLOSED, SeqCst);
    queue.shares_descriptors.store(0, SeqCst);
    if mistake != Some(Mistake::RefusesFirst) {
        for request in take(queue) {
            fail(request);
        }
    }
}

fn ring(queue: &IoQueue) {
    queue.bell.fetch_add(1, SeqCst);
    wake(&queue.bell, u32::MAX);
}

fn request<'a>(at: u32) -> &'a IoRequest {
    // SAFETY: the list holds addresses of requests.
    unsafe { record_at(at) }
}

fn take(queue: &IoQueue) -> Vec<u32> {
    let mut requests = Vec::new();
    let mut at = queue.head.swap(0, SeqCst);
    while at != 0 {
        requests.push(at);
        at = request(at).next.load(SeqCst);
    }
    requests.reverse();
    requests
}

fn fail(at: u32) {
    request(at).message_length.store(0, SeqCst);
    request(at)
        .error_code
        .store(layout::IO_ERROR_CLOSED, SeqCst);
    finish(at);
}

fn finish(at: u32) {
    let state = &raw const request(at).state;
    request(at).state.store(layout::IO_DONE, SeqCst);
    crate::sync::shared::wake_gone(state, 1);
}

/// How serving a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoEnd {
    Closed,
    Fenced,
}

/// `IoServer`
pub struct Server {
    pub queue: Arc<IoQueue>,
    pub files: Arc<Files>,
    pub engine: u32,
    /// As in Node.
    pub shares_descriptors: bool,
    pub mistake: Option<Mistake>,
}

impl Server {
    pub fn run(&self) -> IoEnd {
        let queue = &*self.queue;
        self.start();
        let mut under_way = Vec::new();
        while queue.state.load(SeqCst) == layout::IO_SERVING {
            for at in take(queue) {
                self.serve(at, &mut under_way);
            }
            self.wait(&mut under_way);
        }
        if queue.state.load(SeqCst) == layout::IO_CLOSED {
            for at in std::mem::take(&mut under_way) {
                self.answer(at);
            }
            self.files.end(self.engine);
            if self.mistake == Some(Mistake::TakesAfterFence) {
                for at in take(queue) {
                    self.serve(at, &mut under_way);
                }
            }
            return IoEnd::Fenced;
        }
        self.close();
        // Promises settle later; their files are gone, but the answers still come.
        for at in under_way {
            self.answer(at);
        }
        IoEnd::Closed
    }

    fn start(&self) {
        let queue = &*self.queue;
        queue
            .shares_descriptors
            .store(self.shares_descriptors.into(), SeqCst);
        let started =
            queue
                .state
                .compare_exchange(layout::IO_IDLE, layout::IO_SERVING, SeqCst, SeqCst);
        if started.is_err() && self.mistake != Some(Mistake::StartsAnyway) {
            queue.shares_descriptors.store(0, SeqCst);
        }
    }

    /// With promises under way, one of them settles; else the bell is waited for.
    fn wait(&self, under_way: &mut Vec<u32>) {
        let queue = &*self.queue;
        let bell = queue.bell.load(SeqCst);
        queue.is_waiting.store(1, SeqCst);
        let is_idle = self.mistake == Some(Mistake::SleepsUnseen)
            || queue.head.load(SeqCst) == 0 && queue.state.load(SeqCst) == layout::IO_SERVING;
        match under_way.pop() {
            Some(at) => {
                self.answer(at);
                if under_way.is_empty() {
                    ring(queue);
                }
            }
            None if is_idle => {
                wait(&queue.bell, bell, None);
            }
            None => {}
        }
        queue.is_waiting.store(0, SeqCst);
    }

    fn serve(&self, at: u32, under_way: &mut Vec<u32>) {
        let asked = request(at);
        let (operation, file) = (asked.operation, asked.file);
        if self.mistake == Some(Mistake::AnswersEarly) {
            finish(at);
        }
        thread::yield_now();
        self.files.perform(self.engine, file);
        match operation {
            SYNC => under_way.push(at),
            _ => self.answer(at),
        }
    }

    fn answer(&self, at: u32) {
        let (operation, file) = (request(at).operation, request(at).file);
        let result = match operation {
            OPEN => f64::from(self.files.open(self.engine)),
            _ => answer_of(self.engine, file),
        };
        if self.mistake == Some(Mistake::WritesLate) {
            let late = request(at);
            finish(at);
            // The record is still there as memory; what it says comes too late.
            late.result.store(result.to_bits(), SeqCst);
            return;
        }
        request(at).result.store(result.to_bits(), SeqCst);
        finish(at);
    }

    fn close(&self) {
        if self.mistake != Some(Mistake::ClosesUsed) {
            self.retire_descriptors();
        }
        self.files.close(self.engine);
        self.files.end(self.engine);
        end(&self.queue, self.mistake);
    }

    fn retire_descriptors(&self) {
        let queue = &*self.queue;
        if queue.shares_descriptors.load(SeqCst) == 0 {
            return;
        }
        queue.shares_descriptors.store(0, SeqCst);
        loop {
            let users = queue.descriptor_users.load(SeqCst);
            if users == 0 {
                return;
            }
            wait(&queue.descriptor_users, users, None);
        }
    }

    /// The files of an engine that was fenced off, once its threads are gone.
    pub fn close_fenced(&self) {
        self.files.close(self.engine);
    }
}
