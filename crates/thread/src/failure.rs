//! Ends of threads that are no panics.

use std::error::Error;
use std::fmt;

/// Why a thread ended without a result and without a panic: the payload of the `Err` that `join` returns.
///
/// ```
/// # use heddle_thread::ThreadError;
/// let result = heddle_thread::spawn(|| 42).join();
/// match result {
///     Ok(value) => assert_eq!(value, 42),
///     Err(payload) if payload.is::<ThreadError>() => eprintln!("{}", payload.downcast::<ThreadError>().unwrap()),
///     Err(payload) => std::panic::resume_unwind(payload),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadError {
    /// The engine trapped (unreachable, out of bounds, its own stack's end). No destructor ran, and what the thread had
    /// half changed stays so.
    Trapped {
        /// The engine's words.
        message: String,
    },
    /// The thread wrote beyond its stack. What it overwrote nobody knows.
    StackOverflow {
        /// Bytes of stack that it had.
        stack_size: usize,
    },
    /// There was no memory for the thread's stack.
    OutOfMemory {
        /// What was asked for.
        message: String,
    },
    /// The thread's worker was terminated.
    Terminated,
}

impl fmt::Display for ThreadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThreadError::Trapped { message } => write!(f, "the thread trapped: {message}"),
            ThreadError::StackOverflow { stack_size } => {
                write!(
                    f,
                    "the thread wrote beyond its stack of {stack_size} bytes; give it a bigger one"
                )
            }
            ThreadError::OutOfMemory { message } => f.write_str(message),
            ThreadError::Terminated => f.write_str("the thread's worker was terminated"),
        }
    }
}

impl Error for ThreadError {}
