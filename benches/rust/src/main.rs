//! The native host: reads a request a line, answers each with a line.
//!
//! `bench subject case count` → `ok elapsed_ns [p50_ns p99_ns]` or `error sentence`.

use heddle_benches::{Request, measure};
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = Request::parse(&line?).and_then(|request| measure(&request));
        let mut out = io::stdout().lock();
        match answer {
            Ok(measured) => {
                write!(out, "ok {}", measured.elapsed.as_nanos())?;
                if let Some(quantiles) = measured.quantiles {
                    let (p50, p99) = (quantiles.p50.as_nanos(), quantiles.p99.as_nanos());
                    write!(out, " {p50} {p99}")?;
                }
                writeln!(out)?;
            }
            Err(sentence) => writeln!(out, "error {sentence}")?,
        }
        out.flush()?;
    }
    Ok(())
}
