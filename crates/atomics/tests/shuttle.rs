//! The locks and their kin with more threads and operations than loom can take, through random interleavings:
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test -p heddle-atomics --test shuttle --release
//! ```
//!
//! `HEDDLE_SEED` takes other interleavings. `Guarded` reports two who use it at once, and a lost wake-up is a deadlock.
//! Beside the models are faults that they must find.
#![cfg(shuttle)]

use heddle_atomics::{
    Barrier, Condvar, Event, Latch, Mutex, MutexGuard, Once, OnceCell, Parker, Poisoned, RawMutex,
    RwLock, RwLockWriteGuard, Semaphore, WaitGroup, futex, registry,
    seam::{
        AtomicU32, Guarded, Ordering,
        check::{check, fails, finds},
        model::{Fault, any},
    },
};
use shuttle::{future::block_on, thread};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

/// How long waits with a timeout wait: it ends when the model likes.
const WHILE: Duration = Duration::from_secs(1);

/// Which threads of a model are in the registry. Those outside it look again at claims that are old.
#[derive(Clone, Copy, PartialEq)]
enum Seats {
    All,
    Half,
}

/// Runs `f` on so many threads, which are numbered from 0, and waits for them.
fn run<S: Send + Sync + 'static>(
    count: u32,
    seats: Seats,
    shared: &Arc<S>,
    f: impl Fn(u32, &S) + Copy + Send + 'static,
) {
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                if seats == Seats::All || number % 2 == 0 {
                    registry::enter_new().expect("the model has few threads");
                }
                f(number, &shared);
                registry::leave();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Something that only its lock's holder may use, or many who only read.
struct Data(Guarded<u32>);

// SAFETY: used as the primitive under test allows; `Guarded` reports whether that is so.
unsafe impl Sync for Data {}
// SAFETY: as above.
unsafe impl Send for Data {}

impl Data {
    const fn new(value: u32) -> Self {
        Self(Guarded::new(value))
    }

    fn add(&self, value: u32) {
        // SAFETY: `Guarded` reports two who are here at once.
        self.0.with_mut(|data| unsafe { *data += value });
    }

    fn read(&self) -> u32 {
        // SAFETY: as in `add`.
        self.0.with(|data| unsafe { *data })
    }
}

/// A lock taken in all the ways that threads have, and let go in both.
fn crowd(count: u32, seats: Seats) {
    crowd_taking(count, seats, |lock| match any(4) {
        0 => lock.try_lock().is_some(),
        1 => lock.lock_timeout(WHILE).is_some(),
        _ => lock.lock() == Poisoned::No,
    });
}

/// A lock taken so, if it is, and let go in both ways there are.
fn crowd_taking(count: u32, seats: Seats, take: fn(&RawMutex) -> bool) {
    let shared = Arc::new((RawMutex::new(), Data::new(0), AtomicU32::new(0)));
    run(count, seats, &shared, move |number, (lock, data, taken)| {
        for turn in 0..3 {
            if !take(lock) {
                continue;
            }
            taken.fetch_add(1, Ordering::Relaxed);
            data.add(1);
            // SAFETY: taken above.
            unsafe {
                if (number + turn) % 3 == 0 {
                    lock.unlock_fair();
                } else {
                    lock.unlock();
                }
            }
        }
    });
    let (lock, data, taken) = &*shared;
    assert_eq!(data.read(), taken.load(Ordering::Relaxed));
    assert!(lock.owner().is_none() && lock.claimant().is_none());
    assert_eq!(lock.try_lock(), Some(Poisoned::No));
}

#[test]
fn one_at_a_time_has_the_lock_and_nobody_sleeps_for_ever() {
    check(2000, || crowd(6, Seats::All));
    check(2000, || crowd(6, Seats::Half));
}

#[test]
fn a_lock_that_two_have_is_found() {
    finds(Fault::TornExchange, "", 400, || crowd(6, Seats::All));
}

#[test]
fn a_wake_up_of_the_lock_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || crowd(6, Seats::All));
}

#[test]
fn a_wait_for_the_lock_that_does_not_compare_is_found() {
    finds(Fault::LateWait, "deadlock", 2000, || crowd(6, Seats::All));
}

#[test]
fn nobody_passes_a_claimant_over() {
    // Once who holds the lock has seen a claim, the next one in is somebody else, however many want it. The threads are in the
    // registry: a claim of one outside grows old.
    // This had all threads asleep. One saw the lock kept for another, claimed it once that one had it, and slept on the word as it
    // had seen it, which looked the same again: now the lock was kept for the sleeper.
    check(4000, || {
        let shared = Arc::new((RawMutex::new(), Data::new(0)));
        run(5, Seats::All, &shared, |number, (lock, last)| {
            let mut owed = false;
            for _ in 0..4 {
                assert_eq!(lock.lock(), Poisoned::No);
                assert!(
                    !owed || last.read() != number + 1,
                    "a claimant was passed over"
                );
                last.add((number + 1).wrapping_sub(last.read()));
                let me = registry::current();
                owed = lock.claimant().is_some_and(|claimant| claimant != me);
                // SAFETY: taken above.
                unsafe { lock.unlock() };
            }
        });
    });
}

#[test]
fn the_dead_keep_nobody_waiting() {
    // Threads die with the lock, while others want it and while it is kept for somebody.
    check(4000, || {
        let shared = Arc::new((RawMutex::new(), Data::new(0)));
        let (tell, told) = shuttle::sync::mpsc::channel();
        let reaper = thread::spawn(move || {
            for token in told {
                assert!(registry::reap_token(token));
            }
        });
        let victims: Vec<_> = (0..2)
            .map(|_| {
                let (shared, tell) = (Arc::clone(&shared), tell.clone());
                thread::spawn(move || {
                    let token = registry::enter_new().expect("the model has few threads");
                    let _poisoned = shared.0.lock();
                    shared.1.add(1);
                    // From here on it does nothing any more.
                    tell.send(token).unwrap();
                })
            })
            .collect();
        drop(tell);
        run(3, Seats::All, &shared, |_, (lock, data)| {
            for _ in 0..2 {
                let _poisoned = lock.lock();
                data.add(1);
                // SAFETY: taken above.
                unsafe { lock.unlock() };
            }
        });
        for victim in victims {
            victim.join().unwrap();
        }
        reaper.join().unwrap();
        let (lock, data) = &*shared;
        assert_eq!(lock.lock(), Poisoned::Yes);
        assert_eq!(data.read(), 8);
    });
}

/// Readers and writers of a pair, in all the ways there are.
fn readers_and_writers(seats: Seats) {
    let shared = Arc::new((RwLock::new((0_u32, 0_u32)), AtomicU32::new(0)));
    run(6, seats, &shared, |number, (lock, written)| {
        let write = |pair: &mut (u32, u32)| {
            written.fetch_add(1, Ordering::Relaxed);
            pair.0 += 1;
            thread::yield_now();
            pair.1 += 1;
        };
        for _ in 0..2 {
            match (number % 3, any(3)) {
                (0, 0) => drop(lock.try_write().map(|mut pair| write(&mut pair))),
                (0, 1) => drop(lock.try_write_for(WHILE).map(|mut pair| write(&mut pair))),
                (0, _) => {
                    let mut pair = lock.write().unwrap();
                    write(&mut pair);
                    let before = *pair;
                    let pair = RwLockWriteGuard::downgrade(pair);
                    thread::yield_now();
                    assert_eq!(*pair, before, "written after the downgrade");
                }
                (_, how) => {
                    let pair = match how {
                        0 => lock.try_read().ok(),
                        1 => lock.try_read_for(WHILE).ok(),
                        _ => Some(lock.read().unwrap()),
                    };
                    if let Some(pair) = pair {
                        let first = pair.0;
                        thread::yield_now();
                        assert_eq!(first, pair.1, "read while it is written");
                    }
                }
            }
        }
    });
    let (lock, written) = &*shared;
    let written = written.load(Ordering::Relaxed);
    assert_eq!(*lock.try_write().unwrap(), (written, written));
}

#[test]
fn a_writer_is_alone_among_many() {
    check(2000, || readers_and_writers(Seats::All));
    check(2000, || readers_and_writers(Seats::Half));
}

#[test]
fn a_torn_step_of_the_read_write_lock_is_found() {
    finds(Fault::TornExchange, "", 400, || {
        readers_and_writers(Seats::All)
    });
}

#[test]
fn a_wake_up_of_the_read_write_lock_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || {
        readers_and_writers(Seats::All)
    });
}

/// A queue with a lock and two conditions: what `notify_one` is for. Some waits give up and come again.
fn queue(seats: Seats) {
    #[derive(Default)]
    struct Queue {
        values: Mutex<VecDeque<u32>>,
        not_empty: Condvar,
        not_full: Condvar,
    }
    fn wait<'a>(
        queue: &'a Queue,
        condition: &Condvar,
        is_wrong: impl Fn(&VecDeque<u32>) -> bool + Copy,
    ) -> MutexGuard<'a, VecDeque<u32>> {
        let mut values = queue.values.lock().unwrap();
        if any(3) == 0 {
            values = condition
                .wait_timeout_while(values, WHILE, |values| is_wrong(values))
                .unwrap()
                .0;
        }
        condition
            .wait_while(values, |values| is_wrong(values))
            .unwrap()
    }
    let queue = Arc::new(Queue::default());
    run(6, seats, &queue, |number, queue| {
        for value in 0..3 {
            if number < 3 {
                let mut values = wait(queue, &queue.not_full, |values| values.len() == 2);
                values.push_back(value);
                drop(values);
                queue.not_empty.notify_one();
            } else {
                let mut values = wait(queue, &queue.not_empty, VecDeque::is_empty);
                assert!(values.pop_front().unwrap() < 3);
                drop(values);
                queue.not_full.notify_one();
            }
        }
    });
    assert!(queue.values.lock().unwrap().is_empty());
}

#[test]
fn a_notification_reaches_one_that_waits() {
    check(1500, || queue(Seats::All));
    check(1500, || queue(Seats::Half));
}

#[test]
fn a_notification_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 300, || queue(Seats::All));
}

/// All wait for one change, and are told together.
fn told_together() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    run(6, Seats::All, &shared, |number, (is_ready, condition)| {
        if number == 3 {
            *is_ready.lock().unwrap() = true;
            condition.notify_all();
        } else {
            let is_ready = is_ready.lock().unwrap();
            drop(
                condition
                    .wait_while(is_ready, |is_ready| !*is_ready)
                    .unwrap(),
            );
        }
    });
}

#[test]
fn a_notification_of_all_reaches_all() {
    check(2500, told_together);
}

#[test]
fn a_notification_of_all_that_reaches_one_is_found() {
    finds(Fault::WakeOne, "deadlock", 500, told_together);
}

/// Permits that are taken one by one and all together, and waits for them that are given up.
fn permits(seats: Seats) {
    const PERMITS: u32 = 3;
    let shared = Arc::new((Semaphore::new(PERMITS), AtomicU32::new(0)));
    run(5, seats, &shared, |number, (semaphore, held)| {
        for _ in 0..3 {
            let count = if number == 0 { PERMITS } else { 1 + number % 2 };
            let permit = match any(4) {
                0 => semaphore.try_acquire_many(count),
                1 => semaphore.acquire_many_timeout(count, WHILE),
                _ => Some(semaphore.acquire_many(count)),
            };
            if permit.is_some() {
                let all = held.fetch_add(count, Ordering::Relaxed) + count;
                assert!(all <= PERMITS, "more than there is");
                held.fetch_sub(count, Ordering::Relaxed);
            }
        }
    });
    let (semaphore, _) = &*shared;
    assert_eq!(semaphore.available(), PERMITS);
    assert_eq!(semaphore.raw().claimant(), None);
}

#[test]
fn no_more_permits_than_there_are_and_nobody_waits_for_ever() {
    check(2000, || permits(Seats::All));
    check(2000, || permits(Seats::Half));
}

#[test]
fn permits_that_are_taken_in_two_steps_are_found() {
    finds(Fault::TornExchange, "", 400, || permits(Seats::All));
}

#[test]
fn a_wake_up_of_the_semaphore_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || permits(Seats::All));
}

/// Rounds of a barrier, in which nobody runs ahead; one leader each.
fn rounds() {
    const ROUNDS: u32 = 3;
    let shared = Arc::new((Barrier::new(4), AtomicU32::new(0), AtomicU32::new(0)));
    run(4, Seats::All, &shared, |_, (barrier, arrived, leaders)| {
        for round in 0..ROUNDS {
            arrived.fetch_add(1, Ordering::Relaxed);
            // An arrival that is taken back, and comes again.
            let result = if any(3) == 0 {
                barrier.wait_timeout(WHILE)
            } else {
                None
            };
            let result = result.unwrap_or_else(|| barrier.wait());
            leaders.fetch_add(u32::from(result.is_leader()), Ordering::Relaxed);
            let all = arrived.load(Ordering::Relaxed);
            assert!(all >= 4 * (round + 1), "somebody ran ahead");
        }
    });
    assert_eq!(shared.2.load(Ordering::Relaxed), ROUNDS);
    assert_eq!(shared.0.arrived(), 0);
}

#[test]
fn nobody_runs_ahead_of_a_barrier() {
    check(2500, rounds);
}

#[test]
fn a_barrier_that_wakes_one_is_found() {
    finds(Fault::WakeOne, "deadlock", 500, rounds);
}

#[test]
fn a_barrier_that_counts_in_two_steps_is_found() {
    finds(Fault::TornExchange, "", 500, rounds);
}

/// Many want something made; one makes it, and all have it.
fn made_once() {
    let shared = Arc::new((OnceCell::new(), Once::new(), Data::new(0)));
    run(5, Seats::All, &shared, |number, (cell, once, data)| {
        match number {
            0 => once.wait(),
            1 => _ = once.wait_timeout(WHILE),
            _ => once.call_once(|| data.add(1)),
        }
        if number != 1 {
            assert_eq!(data.read(), 1, "used before it was made");
        }
        let value = *cell.get_or_init(|| number);
        assert_eq!(cell.get(), Some(&value));
    });
    assert!(shared.1.is_completed());
}

#[test]
fn one_makes_it_and_all_have_it() {
    check(2500, made_once);
}

/// A thread that had made it and left the registry looked dead to one that had seen it make it: that one was told of poison, although
/// nobody had failed.
#[test]
fn whoever_makes_it_and_leaves_has_not_died() {
    check(1000, || {
        let once = Arc::new(Once::new());
        run(2, Seats::All, &once, |_, once| once.call_once(|| ()));
        assert!(!once.is_poisoned());
    });
}

#[test]
fn two_who_make_it_are_found() {
    finds(Fault::TornExchange, "", 500, made_once);
}

#[test]
fn a_wait_for_it_that_is_not_woken_is_found() {
    finds(Fault::WakeOne, "deadlock", 4000, made_once);
}

/// A latch before a group before an event that lets them through one by one.
fn gates() {
    let shared = Arc::new((
        Latch::new(4),
        WaitGroup::new(),
        Event::auto_reset(),
        Data::new(0),
    ));
    shared.1.add(4).unwrap();
    run(
        5,
        Seats::All,
        &shared,
        |number, (latch, group, event, data)| {
            if number == 4 {
                group.wait();
                assert_eq!(latch.count(), 0, "through before it was open");
                event.set();
                return;
            }
            latch.arrive_and_wait(1).unwrap();
            group.done().unwrap();
            if any(2) == 0 || !event.wait_timeout(WHILE) {
                event.wait();
            }
            data.add(1);
            event.set();
        },
    );
    assert_eq!(shared.3.read(), 4);
    assert!(shared.2.try_wait());
}

#[test]
fn a_latch_a_group_and_an_event_let_all_through() {
    check(2500, gates);
}

#[test]
fn a_gate_that_opens_for_one_is_found() {
    finds(Fault::WakeOne, "deadlock", 500, gates);
}

#[test]
fn a_gate_that_counts_in_two_steps_is_found() {
    finds(Fault::TornExchange, "", 500, gates);
}

#[test]
fn a_token_wakes_who_parks() {
    check(2500, || {
        let parker = Parker::new();
        let given = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (unparker, given) = (parker.unparker().clone(), Arc::clone(&given));
                thread::spawn(move || {
                    given.fetch_add(1, Ordering::Relaxed);
                    unparker.unpark();
                })
            })
            .collect();
        while given.load(Ordering::Relaxed) < 4 {
            if any(2) == 0 || !parker.park_timeout(WHILE) {
                parker.park();
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        parker.try_park();
        assert!(!parker.try_park(), "more than one token");
    });
}

#[test]
fn a_lock_with_a_bug_of_its_own_is_found() {
    // It says that somebody waits, and lets go, in two steps each.
    fails("deadlock", 2000, || {
        let word = Arc::new(AtomicU32::new(0));
        run(3, Seats::All, &word, |_, word| {
            while word
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                if word.load(Ordering::Relaxed) != 0 {
                    word.store(2, Ordering::Relaxed);
                    futex::wait(word, 2, None);
                }
            }
            if word.load(Ordering::Relaxed) == 2 {
                word.store(0, Ordering::Release);
                futex::wake(word, 1);
            } else {
                word.store(0, Ordering::Release);
            }
        });
    });
}

/// Polls a future a few times, woken or not, and drops it if that wasn't enough.
async fn give_up<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = any(4);
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

/// [`crowd`], of tasks and threads.
fn crowd_of_tasks(count: u32, seats: Seats) {
    crowd_taking(count, seats, |lock| match any(4) {
        0 => lock.lock() == Poisoned::No,
        1 => block_on(give_up(lock.lock_async())).is_some(),
        _ => block_on(lock.lock_async()) == Poisoned::No,
    });
}

#[test]
fn tasks_and_threads_exclude_each_other_and_nobody_sleeps_for_ever() {
    check(1000, || crowd_of_tasks(5, Seats::All));
    check(1000, || crowd_of_tasks(5, Seats::Half));
}

#[test]
fn a_wake_up_of_a_task_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || {
        crowd_of_tasks(5, Seats::All);
    });
}

#[test]
fn a_task_that_waits_without_comparing_is_found() {
    finds(Fault::LateWait, "deadlock", 2000, || {
        crowd_of_tasks(5, Seats::All);
    });
}

#[test]
fn permits_go_round_among_tasks_and_threads() {
    check(1000, || {
        let semaphore = Arc::new(Semaphore::new(2));
        run(5, Seats::Half, &semaphore, |_, semaphore| {
            for _ in 0..3 {
                let permit = match any(4) {
                    0 => Some(semaphore.acquire()),
                    1 => block_on(give_up(semaphore.acquire_many_async(1 + any(2)))),
                    2 => Some(block_on(semaphore.acquire_many_async(2))),
                    _ => Some(block_on(semaphore.acquire_async())),
                };
                thread::yield_now();
                drop(permit);
            }
        });
        assert_eq!(semaphore.available(), 2);
        assert_eq!(semaphore.raw().claimant(), None);
    });
}

#[test]
fn each_setting_lets_a_task_or_a_thread_through() {
    check(1000, || {
        let event = Arc::new(Event::auto_reset());
        run(4, Seats::All, &event, |number, event| {
            match number {
                0 => {
                    for _ in 0..2 {
                        while !event.set() {
                            thread::yield_now();
                        }
                    }
                }
                1 => event.wait(),
                2 => block_on(event.wait_async()),
                _ => {
                    if block_on(give_up(event.wait_async())).is_some() {
                        // It was for one of the others.
                        while !event.set() {
                            thread::yield_now();
                        }
                    }
                }
            }
        });
    });
}

#[test]
fn tasks_and_threads_meet_and_hear_of_conditions() {
    check(500, || {
        let shared = Arc::new((
            Barrier::new(4),
            Mutex::new(false),
            Condvar::new(),
            WaitGroup::new(),
        ));
        run(
            4,
            Seats::All,
            &shared,
            |number, (barrier, lock, changed, group)| {
                let member = group.member();
                if number % 2 == 0 {
                    block_on(barrier.wait_async());
                } else {
                    barrier.wait();
                }
                match number {
                    0 => {
                        *lock.lock().unwrap() = true;
                        changed.notify_one();
                        changed.notify_one();
                        changed.notify_one();
                    }
                    1 => {
                        let guard = changed.wait_while(lock.lock().unwrap(), |is_ready| !*is_ready);
                        drop(guard.unwrap());
                    }
                    2 => block_on(async {
                        let guard = lock.lock_async().await.unwrap();
                        let guard = changed.wait_while_async(guard, |is_ready| !*is_ready).await;
                        drop(guard.unwrap());
                    }),
                    // Given a notification, it passes that on.
                    _ => drop(block_on(give_up(async {
                        let guard = lock.lock_async().await.unwrap();
                        let guard = changed.wait_while_async(guard, |is_ready| !*is_ready).await;
                        drop(guard.unwrap());
                    }))),
                }
                drop(member);
                block_on(group.wait_async());
            },
        );
    });
}

#[test]
fn tasks_and_threads_read_together_and_write_alone() {
    check(1000, || {
        let lock = Arc::new(RwLock::new(0));
        run(4, Seats::Half, &lock, |_, lock| {
            for _ in 0..2 {
                match any(5) {
                    0 => *lock.write().unwrap() += 1,
                    1 => *block_on(lock.write_async()).unwrap() += 1,
                    2 => drop(block_on(give_up(lock.write_async()))),
                    3 => drop(block_on(give_up(lock.read_async()))),
                    _ => drop(block_on(lock.read_async()).unwrap()),
                }
            }
        });
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn a_task_or_a_thread_makes_it_and_all_have_it() {
    check(1000, || {
        let cell = Arc::new(OnceCell::new());
        run(5, Seats::All, &cell, |number, cell| {
            let value = match number {
                0 => Some(block_on(cell.wait_async())),
                1 => block_on(give_up(cell.wait_async())),
                2 => block_on(give_up(cell.get_or_init_async(async || {
                    shuttle::future::yield_now().await;
                    number
                }))),
                3 => Some(block_on(cell.get_or_init_async(async || {
                    shuttle::future::yield_now().await;
                    number
                }))),
                _ => Some(cell.get_or_init(|| number)),
            };
            assert!(value.is_none() || value == cell.get());
        });
    });
}
