//! Bytes that nobody would send, for the decoder of values: an answer or a typed error with the bytes, never a panic, and never
//! more memory than the message is worth.
//!
//! `tests/corpus/messagepack.txt` is tried first, and holds what made a decoder fail; TypeScript's tries it too. A run prints its seed
//! when it fails; `HEDDLE_SEED` replays that one input, and `HEDDLE_LONG_MINUTES` goes on for so long.
#![cfg(not(loom))]

use heddle_channel::msgpack::{self, DecodeErrorKind, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned, de::IgnoredAny};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Inputs of a default run.
const ROUNDS: u64 = 30_000;

/// What decoding may hold at once for each byte of the message, and besides: a byte may become an element of `Tree` or a
/// record, and the containers double.
const HELD_PER_BYTE_MAX: usize = 256;
const HELD_BESIDE_MAX: usize = 4096;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static HELD_MAX: Cell<isize> = const { Cell::new(0) };
}

/// The most bytes that `action` held at once, of those that it allocated.
fn held_by<R>(action: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    HELD_MAX.set(before);
    let result = action();
    (result, (HELD_MAX.get() - before).cast_unsigned())
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size().cast_signed());
        HELD_MAX.set(HELD_MAX.get().max(HELD.get()));
        // SAFETY: of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size().cast_signed());
        // SAFETY: of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    note: Option<String>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    at: Timestamp,
    kind: Kind,
    counts: BTreeMap<String, i32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Tuple(u8, f64),
}

/// A type as deep as its message.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

/// What is mutated.
fn samples() -> Vec<Vec<u8>> {
    let record = Record {
        id: 1 << 40,
        name: "Kette und Schuß".into(),
        note: None,
        bytes: vec![7; 40],
        at: Timestamp::new(1_700_000_000, 5).unwrap(),
        kind: Kind::Tuple(3, 0.5),
        counts: BTreeMap::from([("a".into(), -1), ("b".into(), 70_000)]),
    };
    let leaves = |count| Tree((0..count).map(|_| Tree(Vec::new())).collect());
    let deep = (0..200).fold(leaves(1), |tree, _| Tree(vec![tree]));
    vec![
        msgpack::encode(&record).unwrap(),
        msgpack::encode(&vec![&record, &record]).unwrap(),
        msgpack::encode(&leaves(20)).unwrap(),
        msgpack::encode(&Tree(vec![leaves(3), leaves(300), deep])).unwrap(),
        msgpack::encode(&"t".repeat(300)).unwrap(),
    ]
}

fn mutated(random: &mut Random, samples: &[Vec<u8>]) -> Vec<u8> {
    /// What makes lengths absurd.
    const HEADS: [u8; 12] = [
        0xc6, 0xc9, 0xc1, 0xc7, 0xd8, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x9f, 0x8f,
    ];
    let mut bytes = samples[random.below(samples.len())].clone();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let length = (1 + random.below(16)).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = HEADS[random.below(HEADS.len())],
            3 => bytes[at..at + length].fill(0xff),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + length)),
            _ => {
                let part = bytes[at..at + length].to_vec();
                let times = 1 + random.below(40);
                bytes.splice(at..at, part.repeat(times));
            }
        }
    }
    bytes
}

/// Decodes, and checks what that says and takes.
fn check<T: DeserializeOwned>(message: &[u8], label: &str) {
    let owned = message.to_vec();
    let (outcome, held) = held_by(|| msgpack::decode::<T>(owned));
    assert!(
        held <= HELD_BESIDE_MAX + HELD_PER_BYTE_MAX * message.len(),
        "{label}: {held} bytes of memory for {message:02x?}"
    );
    if let Err(error) = outcome {
        assert!(error.bytes == message, "{label}: other bytes came back");
    }
}

fn check_all(message: &[u8], label: &str) {
    check::<Record>(message, label);
    check::<Vec<Record>>(message, label);
    check::<Tree>(message, label);
    check::<String>(message, label);
    check::<BTreeMap<u32, Vec<String>>>(message, label);
    check::<IgnoredAny>(message, label);
}

#[test]
fn the_corpus_is_judged_as_it_says() {
    for line in include_str!("corpus/messagepack.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (verdict, hex) = line.split_once(' ').unwrap_or((line, ""));
        let message: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        check_all(&message, line);
        let is_malformed = matches!(
            msgpack::decode::<IgnoredAny>(message),
            Err(error) if matches!(error.kind, DecodeErrorKind::Malformed(_))
        );
        assert_eq!(is_malformed, verdict == "malformed", "{line}");
    }
}

#[test]
fn mutated_messages_are_read_or_told() {
    let setting = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    let samples = samples();
    let end = setting("HEDDLE_LONG_MINUTES")
        .map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let mut rounds = 0;
    while end.map_or(rounds < ROUNDS, |end| Instant::now() < end) {
        // Each input has a seed of its own, so that one is replayed without those before it.
        let seed = seed.wrapping_add(rounds);
        let message = mutated(&mut Random(seed), &samples);
        check_all(&message, &format!("HEDDLE_SEED={seed}"));
        rounds += 1;
    }
}

/// A check that can't fail proves nothing: without the look over the message, five bytes take a mebibyte.
#[test]
fn the_check_finds_a_decoder_that_believes_lengths() {
    let message = [0xdd, 0xff, 0xff, 0xff, 0xff];
    let (outcome, held) = held_by(|| rmp_serde::from_slice::<Vec<u64>>(&message));
    assert!(outcome.is_err());
    assert!(held > HELD_BESIDE_MAX + HELD_PER_BYTE_MAX * message.len());
}
