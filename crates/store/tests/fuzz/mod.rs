//! Inputs that nobody would write: mutations of sound ones, by a seed.
//!
//! What made a program fail is kept: `tests/corpus/<name>/` holds one input a file, which every run tries first. A run that fails writes its
//! input below `target/fuzz/`, for that folder.
//!
//! `HEDDLE_SEED` and `HEDDLE_LONG_MINUTES` as in the other long tests.

#![allow(dead_code, reason = "each test file uses a part")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::random::Random;

/// Inputs of a default run.
const ROUNDS: u64 = 400;

/// Mutates `seeds` and has `run` try them, after the inputs that are kept. `run` answers what is wrong; a panic is wrong too.
pub fn fuzz(
    name: &str,
    seeds: &[Vec<u8>],
    mutate: impl Fn(&mut Random, &[Vec<u8>]) -> Vec<u8>,
    run: impl FnMut(&[u8]) -> Result<(), String>,
) {
    fuzz_rounds(name, ROUNDS, seeds, mutate, run);
}

/// The same with another count of inputs in a default run.
pub fn fuzz_rounds(
    name: &str,
    rounds_max: u64,
    seeds: &[Vec<u8>],
    mutate: impl Fn(&mut Random, &[Vec<u8>]) -> Vec<u8>,
    mut run: impl FnMut(&[u8]) -> Result<(), String>,
) {
    let mut attempt = |input: &[u8], label: &str| {
        let outcome =
            catch_unwind(AssertUnwindSafe(|| run(input))).unwrap_or_else(|_| Err("a panic".into()));
        if let Err(wrong) = outcome {
            let kept = keep(name, input);
            panic!("{label}: {wrong}; the input is {}", kept.display());
        }
    };
    for path in kept_inputs(name) {
        let input = std::fs::read(&path).unwrap();
        attempt(&input, &path.display().to_string());
    }
    for (index, input) in seeds.iter().enumerate() {
        attempt(input, &format!("seed input {index}"));
    }
    let minutes: Option<u64> = setting("HEDDLE_LONG_MINUTES");
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut rounds = 0;
    while end.map_or(rounds < rounds_max, |end| Instant::now() < end) {
        // Each round by a seed of its own, so that one is replayed without those before it.
        let mut random = Random(seed.wrapping_add(rounds));
        let input = mutate(&mut random, seeds);
        attempt(
            &input,
            &format!("HEDDLE_SEED={}", seed.wrapping_add(rounds)),
        );
        rounds += 1;
    }
    eprintln!("{name}: {rounds} inputs");
}

/// A few mutations of one of the inputs, as bytes.
pub fn mutate_bytes(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const WORDS: [u64; 6] = [0, 1, u64::MAX, i32::MAX as u64, i64::MAX as u64, 1 << 31];
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(3u64) {
        if bytes.is_empty() {
            return bytes;
        }
        // What describes a file is at its ends.
        let mut at = random.below(bytes.len());
        if random.chance(60) {
            at = random.below(bytes.len().min(400));
            if random.chance(70) {
                at = bytes.len() - 1 - at;
            }
        }
        let length = (1 + random.below(16usize)).min(bytes.len() - at);
        match random.below(8u64) {
            0 => bytes[at] ^= 1 << random.below(8u64),
            1 => bytes[at] = random.next() as u8,
            2 => {
                bytes.drain(at..at + length);
            }
            3 => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let word = random.pick(&WORDS).to_le_bytes();
                let length = length.min(word.len());
                bytes[at..at + length].copy_from_slice(&word[..length]);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = random.pick(seeds);
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes[at..at + length].fill(0),
        }
    }
    bytes
}

/// Other numbers in one of the texts, such as JSON.
pub fn mutate_numbers(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const NUMBERS: [&str; 9] = [
        "0",
        "1",
        "-1",
        "7",
        "2147483648",
        "4294967295",
        "9223372036854775807",
        "18446744073709551615",
        "1e99",
    ];
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(2u64) {
        let is_digit = |at: &usize| bytes[*at].is_ascii_digit();
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|at| is_digit(at) && (*at == 0 || !is_digit(&(at - 1))))
            .collect();
        if starts.is_empty() {
            break;
        }
        let start = *random.pick(&starts);
        let end = (start..bytes.len()).find(|at| !is_digit(at));
        let number = random.pick(&NUMBERS).bytes();
        bytes.splice(start..end.unwrap_or(bytes.len()), number);
    }
    bytes
}

/// A few mutations of one of the texts, word by word.
pub fn mutate_words(random: &mut Random, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let mut tokens = tokens(&text(random.pick(seeds)));
    for _ in 0..=random.below(4u64) {
        if tokens.is_empty() {
            break;
        }
        let at = random.below(tokens.len());
        match random.below(6u64) {
            0 => {
                tokens.remove(at);
            }
            1 => tokens.insert(at, (*random.pick(words)).to_owned()),
            2 => tokens[at] = (*random.pick(words)).to_owned(),
            3 => {
                let other = random.below(tokens.len());
                tokens.swap(at, other);
            }
            4 => {
                let end = (at + 1 + random.below(8usize)).min(tokens.len());
                let part = tokens[at..end].to_vec();
                tokens.splice(at..at, part);
            }
            _ => {
                let other = self::tokens(&text(random.pick(seeds)));
                let from = random.below(other.len());
                tokens.truncate(at);
                tokens.extend_from_slice(&other[from..]);
            }
        }
    }
    tokens.concat().into_bytes()
}

/// Words, runs of space, and single marks.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut last = None;
    for c in text.chars() {
        let kind = (c.is_alphanumeric() || c == '_', c.is_whitespace());
        match tokens.last_mut() {
            Some(token) if last == Some(kind) && kind != (false, false) => token.push(c),
            _ => tokens.push(c.into()),
        }
        last = Some(kind);
    }
    tokens
}

fn kept_inputs(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("../fuzz")
        .join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{:08x}", crc32fast::hash(input)));
    std::fs::write(&path, input).unwrap();
    path
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
