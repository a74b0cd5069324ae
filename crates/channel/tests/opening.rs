//! Channels that nobody would make: opening them is refused with a typed error, or what was opened can be used – to its end, without a
//! hang, without harm to anything but itself. TypeScript has the same in `packages/channel/test/opening.test.ts`.
//!
//! A run prints its seed when it fails; `HEDDLE_SEED` replays that one case, and `HEDDLE_LONG_MINUTES` goes on for so long.
#![cfg(not(loom))]

use heddle_channel::{
    TryRecvError, broadcast,
    bytes::{self, OpenError, Options, Receiver, Sender, TrySendError},
    layout::{
        FRAME_ALIGN, RING_SIZE_MIN, broadcast_header, channel_header as header, watch_header,
    },
    watch,
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    time::{Duration, Instant},
};

const CASES: u64 = 20_000;
/// Cases that made something fail before: a ring of 1152 bytes was opened.
const CORPUS: &[u64] = &[17];

const RING_SIZE: u32 = 128;
const GUARD: u64 = 0xa5a5_a5a5_a5a5_a5a5;
const GUARD_WORDS: usize = 16;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Often a small number, a bit, or one at the end of a range.
    fn word(&mut self) -> u32 {
        let bit = 1_u32 << self.below(32);
        match self.below(5) {
            0 => self.below(16) as u32,
            1 => bit,
            2 => bit - 1,
            3 => u32::MAX - self.below(16) as u32,
            _ => self.below(1 << 32) as u32,
        }
    }
}

/// The bytes of a channel between guards.
struct Place(Vec<u64>);

impl Place {
    fn new(record_size: usize) -> Self {
        Self(vec![GUARD; record_size.div_ceil(8) + 2 * GUARD_WORDS])
    }

    fn address(&mut self) -> NonNull<u8> {
        NonNull::from(&mut self.0[GUARD_WORDS]).cast()
    }

    /// The word at a byte offset of the record.
    fn word(&mut self, offset: usize) -> *mut u32 {
        assert!(offset + 4 <= (self.0.len() - 2 * GUARD_WORDS) * 8);
        // SAFETY: inside the vector.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(GUARD_WORDS)
                .cast::<u8>()
                .add(offset)
                .cast()
        }
    }

    fn is_guarded(&self) -> bool {
        let (before, rest) = self.0.split_at(GUARD_WORDS);
        before
            .iter()
            .chain(&rest[rest.len() - GUARD_WORDS..])
            .all(|&word| word == GUARD)
    }
}

/// Changes words of the record, but for the locks: whose owner never lets go can't be used by anybody.
fn mutate(random: &mut Random, place: &mut Place, record_size: usize, locks: &[usize]) {
    for _ in 0..random.below(5) {
        let word = match random.below(2) {
            0 => random.below(6),
            _ => random.below((record_size / 4) as u64),
        };
        let offset = 4 * word as usize;
        if (locks.iter()).any(|lock| (*lock..lock + 8).contains(&offset)) {
            continue;
        }
        let value = random.word();
        let is_flip = random.below(2) == 0;
        let bit = 1 << random.below(32);
        let word = place.word(offset);
        // SAFETY: inside the record; no other thread has it.
        unsafe { word.write(if is_flip { word.read() ^ bit } else { value }) };
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

/// Uses what was opened. That a message is broken is told by a panic that says so; positions that can't be added overflow, which
/// panics where tests are built and stays inside the ring elsewhere.
fn using(ends: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(ends)) {
        let message = text_of(&*panic);
        assert!(
            message.contains("is broken") || message.contains("overflow"),
            "{message}"
        );
    }
}

fn use_ends(sender: &Sender, receiver: &Receiver, random: &mut Random) {
    using(|| {
        for n in 0..12_u8 {
            match sender.try_send(&vec![n; random.below(48) as usize]) {
                Ok(()) | Err(TrySendError::Full | TrySendError::TooLong(_)) => {}
                Err(TrySendError::Closed) => break,
            }
            match receiver.try_recv() {
                Ok(message) => assert!(message.len() < RING_SIZE as usize),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => break,
            }
        }
    });
}

/// `true` if the channel was opened.
fn run(seed: u64) -> bool {
    let mut random = Random(seed);
    let options = Options {
        capacity: 5,
        ring_size: RING_SIZE,
        ..Options::default()
    };
    let record_size = options.record_size();
    let mut place = Place::new(record_size);
    let address = place.address();
    // SAFETY: the place has the record's bytes, aligned to 8.
    unsafe { bytes::init(address, options) };
    {
        // SAFETY: a channel is there, and outlives these ends.
        let sender = unsafe { Sender::open(address) }.unwrap();
        for n in 0..random.below(6) {
            let _full = sender.try_send(&vec![n as u8; random.below(40) as usize]);
        }
    }
    let locks = [header::SEND_LOCK, header::RECEIVE_LOCK];
    mutate(&mut random, &mut place, record_size, &locks);
    // SAFETY: inside the record.
    let ring_size = unsafe { place.word(header::RING_SIZE).read() };
    let before = place.0.clone();
    // SAFETY: the bytes of a header are there, and whatever else it is lives longer than the ends.
    let ends = unsafe { (Sender::open(address), Receiver::open(address)) };
    let is_opened = match ends {
        (Ok(sender), Ok(receiver)) => {
            assert!(
                ring_size.is_power_of_two() && ring_size >= RING_SIZE_MIN,
                "a ring of {ring_size} bytes was opened"
            );
            // A larger ring is no ring's that is here: whoever gives an address answers for that.
            if ring_size <= RING_SIZE {
                use_ends(&sender, &receiver, &mut random);
            }
            true
        }
        (Err(sender), Err(receiver)) => {
            assert_eq!(sender, receiver);
            assert!(!matches!(sender, OpenError::Misaligned));
            assert_eq!(place.0, before, "what was refused was changed");
            false
        }
        (sender, receiver) => panic!("{:?} and {:?}", sender.err(), receiver.err()),
    };
    assert!(
        place.is_guarded(),
        "something outside the channel was changed"
    );
    is_opened
}

/// A broadcast channel, or a watch channel: copied between guards, changed, opened and used.
fn run_news(seed: u64) -> bool {
    let mut random = Random(seed);
    let (is_opened, place) = match random.below(2) {
        0 => run_broadcast(&mut random),
        _ => run_watch(&mut random),
    };
    assert!(
        place.is_guarded(),
        "something outside the channel was changed"
    );
    is_opened
}

/// A copy of the record, changed.
fn changed(random: &mut Random, from: NonNull<u8>, record_size: usize, lock: usize) -> Place {
    let mut place = Place::new(record_size);
    // SAFETY: both have as many bytes, and nobody else uses them.
    unsafe { place.address().copy_from_nonoverlapping(from, record_size) };
    mutate(random, &mut place, record_size, &[lock]);
    place
}

fn run_broadcast(random: &mut Random) -> (bool, Place) {
    let options = broadcast::Options {
        capacity: 5,
        ring_size: RING_SIZE,
        back_pressure: random.below(2) == 0,
    };
    let (original, _receiver) = broadcast::channel(options);
    for n in 0..random.below(6) {
        let _full = original.try_send(&vec![n as u8; random.below(40) as usize]);
    }
    let record_size = options.record_size();
    let mut place = changed(
        random,
        original.address(),
        record_size,
        broadcast_header::LOCK,
    );
    let address = place.address();
    // SAFETY: inside the record.
    let ring_size = unsafe { place.word(broadcast_header::RING_SIZE).read() };
    let before = place.0.clone();
    // SAFETY: the bytes of a header are there, and whatever else it is lives longer than the end.
    let sender = match unsafe { broadcast::Sender::open(address) } {
        Ok(sender) => sender,
        Err(refusal) => {
            assert!(!matches!(refusal, broadcast::OpenError::Misaligned));
            assert_eq!(place.0, before, "what was refused was changed");
            return (false, place);
        }
    };
    // As for the channel of bytes; and a receiver looks into the ring to be opened.
    if ring_size <= RING_SIZE {
        using(|| {
            let from = (random.below(2) == 0).then(|| u64::from(random.word()));
            // SAFETY: as above.
            let receiver = unsafe { broadcast::Receiver::open(address, from) };
            let Ok(mut receiver) = receiver.or_else(|_| sender.subscribe()) else {
                return;
            };
            for n in 0..12_u8 {
                let _full = sender.try_send(&vec![n; random.below(48) as usize]);
                if let Ok(message) = receiver.try_recv() {
                    assert!(message.len() < RING_SIZE as usize);
                }
            }
            let _more = receiver.try_clone();
        });
    }
    drop(sender);
    (true, place)
}

fn run_watch(random: &mut Random) -> (bool, Place) {
    const VALUE_SIZE: u32 = 40;
    let value = |random: &mut Random| vec![7; random.below(u64::from(VALUE_SIZE) + 1) as usize];
    let (original, _receiver) = watch::channel(&value(random), VALUE_SIZE);
    for _ in 0..random.below(3) {
        original.send(&value(random)).unwrap();
    }
    let record_size = watch_header::SIZE + 2 * VALUE_SIZE as usize;
    let mut place = changed(random, original.address(), record_size, watch_header::LOCK);
    let address = place.address();
    // SAFETY: inside the record.
    let value_size = unsafe { place.word(watch_header::VALUE_SIZE).read() };
    let before = place.0.clone();
    // SAFETY: the bytes of a header are there, and whatever else it is lives longer than the ends.
    let ends = unsafe { (watch::Sender::open(address), watch::Receiver::open(address)) };
    let is_opened = match ends {
        (Ok(sender), Ok(mut receiver)) => {
            // Longer values than there is room for: as for the channel of bytes.
            if value_size <= VALUE_SIZE {
                using(|| {
                    assert!(sender.borrow().len() <= VALUE_SIZE as usize);
                    let _too_long = sender.send(&value(random));
                    assert!(receiver.borrow_and_update().len() <= VALUE_SIZE as usize);
                    assert!(!sender.subscribe().has_changed() && !receiver.has_changed());
                });
            }
            true
        }
        (Err(sender), Err(receiver)) => {
            assert_eq!(sender, receiver);
            assert_eq!(place.0, before, "what was refused was changed");
            false
        }
        (sender, receiver) => panic!("{:?} and {:?}", sender.err(), receiver.err()),
    };
    (is_opened, place)
}

#[test]
fn what_is_no_channel_is_refused_and_harms_nobody() {
    fuzz(run, CORPUS);
}

#[test]
fn what_is_no_broadcast_or_watch_channel_is_refused_and_harms_nobody() {
    fuzz(run_news, &[]);
}

fn fuzz(run: fn(u64) -> bool, corpus: &[u64]) {
    heddle_atomics::set_may_block(false);
    // Panics that say that a channel is broken are expected by the thousand.
    std::panic::set_hook(Box::new(|_| {}));
    let environment = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<f64>().unwrap())
    };
    let try_seed = |seed: u64| {
        catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            drop(std::panic::take_hook());
            let message = text_of(&*panic);
            panic!("HEDDLE_SEED={seed}: {message}")
        })
    };
    if let Some(seed) = environment("HEDDLE_SEED") {
        try_seed(seed as u64);
        return;
    }
    for &seed in corpus {
        try_seed(seed);
    }
    let minutes = environment("HEDDLE_LONG_MINUTES").unwrap_or_default();
    let end = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let mut opened_count = 0;
    let mut count = 0;
    while count < CASES || Instant::now() < end {
        opened_count += u64::from(try_seed(count));
        count += 1;
    }
    assert!(
        opened_count > count / 10 && opened_count < count * 9 / 10,
        "{opened_count} of {count} were opened"
    );
}

#[test]
fn an_address_between_two_is_refused() {
    let mut place = Place::new(1024);
    // SAFETY: inside the place, and not looked at.
    let address = unsafe { place.address().add(FRAME_ALIGN as usize / 2) };
    // SAFETY: the bytes of a header are there.
    let refusal = unsafe { Sender::open(address) }.err();
    assert_eq!(refusal, Some(OpenError::Misaligned));
}
