//! Requests to the I/O thread: each is served once and answered to its asker, also when the thread closes, dies or is not there yet.

use std::sync::Arc;

use shuttle::thread;

use crate::check::{check, finds};
use crate::io::queue::IoQueue;
use crate::io::thread::{
    self as io_thread, CLOSED, Files, IoEnd, Mistake, OPEN, READ, SYNC, Server, answer_of, ask,
    ask_and_leave, new_queue,
};
use crate::sync::Fault;

fn server(queue: &Arc<IoQueue>, files: &Arc<Files>, mistake: Option<Mistake>) -> Server {
    Server {
        queue: queue.clone(),
        files: files.clone(),
        engine: 1,
        shares_descriptors: false,
        mistake,
    }
}

/// Two threads ask for two things each, one of which takes a promise. Then the queue is closed: `waits` says whether after the answers or at
/// any moment.
fn asked(waits: bool, mistake: Option<Mistake>) {
    let (queue, files) = (new_queue(), Arc::new(Files::default()));
    let io = {
        let server = server(&queue, &files, mistake);
        thread::spawn(move || server.run())
    };
    let askers: Vec<_> = [[(READ, 1), (SYNC, 2)], [(SYNC, 3), (READ, 4)]]
        .into_iter()
        .map(|asked| {
            let (queue, files) = (queue.clone(), files.clone());
            thread::spawn(move || {
                for (operation, file) in asked {
                    match ask(&queue, operation, file) {
                        Ok(answer) => {
                            assert_eq!(answer, answer_of(1, file), "another's answer, or none");
                            assert_eq!(files.count(1, file), 1, "not served just once");
                        }
                        Err(code) => {
                            assert!(!waits && code == CLOSED);
                            assert_eq!(files.count(1, file), 0, "refused, but served");
                        }
                    }
                }
            })
        })
        .collect();
    if !waits {
        io_thread::close(&queue);
    }
    for asker in askers {
        asker.join().unwrap();
    }
    if waits {
        io_thread::close(&queue);
    }
    assert_eq!(io.join().unwrap(), IoEnd::Closed);
    assert_eq!(ask(&queue, READ, 9), Err(CLOSED));
}

#[test]
fn a_request_is_served_once_and_answered_to_its_asker() {
    check(4000, || asked(true, None));
}

#[test]
fn a_queue_that_closes_at_any_moment_leaves_nobody_waiting() {
    check(4000, || asked(false, None));
}

#[test]
fn an_io_thread_that_sleeps_without_a_look_is_found() {
    finds(4000, None, "deadlock", || {
        asked(true, Some(Mistake::SleepsUnseen))
    });
}

#[test]
fn a_wake_that_nobody_gives_is_found() {
    finds(4000, Some(Fault::LostWakeup), "deadlock", || {
        asked(true, None)
    });
}

#[test]
fn a_list_that_is_taken_in_two_steps_is_found() {
    // A request that comes between the look and the emptying is lost.
    finds(4000, Some(Fault::SplitUpdate), "", || asked(true, None));
}

#[test]
fn an_answer_that_is_told_before_it_is_there_is_found() {
    finds(4000, None, "", || asked(true, Some(Mistake::AnswersEarly)));
    finds(4000, None, "another's answer", || {
        asked(true, Some(Mistake::WritesLate))
    });
}

#[test]
fn an_end_that_refuses_before_it_is_told_is_found() {
    finds(4000, None, "deadlock", || {
        asked(false, Some(Mistake::RefusesFirst))
    });
}

#[test]
fn a_thread_that_goes_on_without_its_answer_is_found() {
    finds(2000, None, "whose thread had gone on", || {
        let (queue, files) = (new_queue(), Arc::new(Files::default()));
        let server = server(&queue, &files, None);
        let io = thread::spawn(move || server.run());
        ask_and_leave(&queue, 1);
        io_thread::close(&queue);
        io.join().unwrap();
    });
}

#[test]
fn an_io_thread_that_died_is_stood_in_for() {
    // It was terminated before it began; the thread that supervises it abandons the queue, at any moment.
    check(3000, || {
        let queue = new_queue();
        let askers: Vec<_> = (1..=3)
            .map(|file| {
                let queue = queue.clone();
                thread::spawn(move || assert_eq!(ask(&queue, READ, file), Err(CLOSED)))
            })
            .collect();
        io_thread::end(&queue, None);
        for asker in askers {
            asker.join().unwrap();
        }
    });
}

/// Threads write by a descriptor themselves while the I/O thread closes it.
fn shared_descriptors(mistake: Option<Mistake>) {
    let (queue, files) = (new_queue(), Arc::new(Files::default()));
    let io = {
        let server = Server {
            shares_descriptors: true,
            ..server(&queue, &files, mistake)
        };
        thread::spawn(move || server.run())
    };
    let descriptor = ask(&queue, OPEN, 0).unwrap() as u32;
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, files) = (queue.clone(), files.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Err(code) = io_thread::write(&queue, &files, 1, descriptor) {
                        assert_eq!(code, CLOSED);
                    }
                }
            })
        })
        .collect();
    io_thread::close(&queue);
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(io.join().unwrap(), IoEnd::Closed);
}

#[test]
fn descriptors_are_closed_when_nobody_uses_them() {
    check(4000, || shared_descriptors(None));
}

#[test]
fn descriptors_that_are_closed_in_use_are_found() {
    finds(4000, None, "another's file", || {
        shared_descriptors(Some(Mistake::ClosesUsed))
    });
}

#[test]
fn users_of_descriptors_that_are_counted_in_two_steps_are_found() {
    finds(4000, Some(Fault::SplitUpdate), "", || {
        shared_descriptors(None)
    });
}
