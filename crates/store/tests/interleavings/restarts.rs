//! The restart of the engine: its I/O is fenced off, its calls are rejected, its threads are terminated, and the I/O thread serves the next.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc;
use shuttle::thread::{self, JoinHandle};

use crate::check::{check, finds};
use crate::io::queue::IoQueue;
use crate::io::thread::{
    self as io_thread, CLOSED, Files, IoEnd, Mistake, OPEN, READ, SYNC, Server, answer_of, ask,
    new_queue,
};
use crate::sync::shared::{Terminated, belong_to, terminate_sleepers};

/// The threads of an engine, and whether they are being terminated.
struct Engine {
    queue: Arc<IoQueue>,
    is_terminated: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// So many threads that open a file, write by its descriptor where they may, and ask.
fn engine(number: u32, threads: u32, files: &Arc<Files>) -> Engine {
    let queue = new_queue();
    let is_terminated = Arc::new(AtomicBool::new(false));
    let threads = (0..threads)
        .map(|thread| {
            let (queue, files) = (queue.clone(), files.clone());
            let is_terminated = is_terminated.clone();
            thread::spawn(move || {
                belong_to(number);
                let body = || work(number, 10 * thread, &queue, &files, &is_terminated);
                if let Err(cause) = catch_unwind(AssertUnwindSafe(body))
                    && !cause.is::<Terminated>()
                {
                    resume_unwind(cause);
                }
            })
        })
        .collect();
    Engine {
        queue,
        is_terminated,
        threads,
    }
}

fn work(engine: u32, first: u32, queue: &IoQueue, files: &Files, is_terminated: &AtomicBool) {
    // A thread may end between any two steps, but not within a call of the host's: in Node an exit is waited for.
    let step = || {
        thread::yield_now();
        if is_terminated.load(Ordering::Relaxed) {
            resume_unwind(Box::new(Terminated));
        }
    };
    step();
    let descriptor = match ask(queue, OPEN, first) {
        Ok(descriptor) => descriptor as u32,
        Err(code) => return assert_eq!(code, CLOSED),
    };
    for (operation, file) in [(READ, first + 1), (SYNC, first + 2)] {
        step();
        // By the descriptor or by a request, which both may be refused.
        let _refused = io_thread::write(queue, files, engine, descriptor);
        step();
        match ask(queue, operation, file) {
            Ok(answer) => {
                assert_eq!(answer, answer_of(engine, file), "another's answer");
                assert_eq!(files.count(engine, file), 1, "not served just once");
            }
            Err(code) => assert_eq!(code, CLOSED),
        }
    }
}

impl Engine {
    /// As `Worker.terminate()`, in Node until they have exited.
    fn terminate(&mut self, number: u32) {
        self.is_terminated.store(true, Ordering::Relaxed);
        terminate_sleepers(number);
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// The I/O thread's worker: it serves a queue, reports how that ended, and then the next that it is ordered to.
fn io_worker(
    files: &Arc<Files>,
    shares_descriptors: bool,
    mistake: Option<Mistake>,
    orders: mpsc::Receiver<(u32, Arc<IoQueue>)>,
    reports: mpsc::Sender<IoEnd>,
) -> JoinHandle<()> {
    let files = files.clone();
    thread::spawn(move || {
        let mut before: Option<Server> = None;
        for (engine, queue) in orders {
            if let Some(before) = before.take() {
                before.close_fenced();
            }
            let server = Server {
                queue,
                files: files.clone(),
                engine,
                shares_descriptors,
                mistake,
            };
            let end = server.run();
            reports.send(end).unwrap();
            before = Some(server);
        }
    })
}

/// What a restart does in another order than it should.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Right,
    /// The next engine is served before the last one's threads are gone.
    ServesFirst,
    /// The threads are terminated, and nobody tells the I/O thread.
    NoFence,
}

fn restarted(shares_descriptors: bool, order: Order, mistake: Option<Mistake>) {
    let files = Arc::new(Files::default());
    let (order_to, orders) = mpsc::channel();
    let (reports_to, reports) = mpsc::channel();
    let io = io_worker(&files, shares_descriptors, mistake, orders, reports_to);
    let mut first = engine(1, 2, &files);
    order_to.send((1, first.queue.clone())).unwrap();

    // At any moment: fence, reject, terminate.
    for _ in 0..thread_rng().gen_range(0..30) {
        thread::yield_now();
    }
    if order != Order::NoFence {
        io_thread::fence(&first.queue);
    }
    if order != Order::ServesFirst {
        first.terminate(1);
    }
    assert_eq!(reports.recv().unwrap(), IoEnd::Fenced);
    let mut second = engine(2, 1, &files);
    order_to.send((2, second.queue.clone())).unwrap();
    second.join();
    if order == Order::ServesFirst {
        first.terminate(1);
    }
    // Nobody stopped the second engine: all of its requests were served.
    assert_eq!((files.count(2, 1), files.count(2, 2)), (1, 1), "not served");
    io_thread::close(&second.queue);
    assert_eq!(reports.recv().unwrap(), IoEnd::Closed);
    drop(order_to);
    io.join().unwrap();
}

#[test]
fn a_fence_at_any_moment_cuts_the_engine_off_and_ends_everyone() {
    check(3000, || restarted(false, Order::Right, None));
}

#[test]
fn no_thread_writes_the_next_engines_files_by_an_old_descriptor() {
    check(3000, || restarted(true, Order::Right, None));
}

#[test]
fn a_request_that_is_served_past_the_fence_is_found() {
    finds(3000, None, "served after the end", || {
        restarted(false, Order::Right, Some(Mistake::TakesAfterFence));
    });
}

#[test]
fn an_engine_that_is_served_before_the_last_one_is_gone_is_found() {
    finds(3000, None, "another's file", || {
        restarted(true, Order::ServesFirst, None)
    });
}

#[test]
fn an_engine_that_is_not_fenced_off_is_found() {
    finds(3000, None, "deadlock", || {
        restarted(false, Order::NoFence, None)
    });
}

/// The engine stops while the I/O thread is only starting. Once it is fenced off and the start is over, no thread of the engine gets leave to
/// use a descriptor.
fn fenced_at_the_start(mistake: Option<Mistake>) {
    let (queue, files) = (new_queue(), Arc::new(Files::default()));
    let io = {
        let server = Server {
            queue: queue.clone(),
            files: files.clone(),
            engine: 1,
            shares_descriptors: true,
            mistake,
        };
        thread::spawn(move || server.run())
    };
    io_thread::fence(&queue);
    assert_eq!(io.join().unwrap(), IoEnd::Fenced);
    assert!(
        !io_thread::may_use_descriptors(&queue),
        "leave past the fence"
    );
}

#[test]
fn a_fence_at_the_start_keeps_descriptors_shut() {
    // The start said that descriptors may be used, then looked whether the engine was fenced off: a fence from before stood, but the word by
    // which threads write past the I/O thread was set again.
    check(3000, || fenced_at_the_start(None));
}

#[test]
fn a_start_that_goes_on_past_a_fence_is_found() {
    finds(3000, None, "leave past the fence", || {
        fenced_at_the_start(Some(Mistake::StartsAnyway));
    });
}
