//! The allocator under threads: as the process's own allocator, and against a model of who owns which bytes.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use heddle_memory::ThreadCachingAllocator;

// Everything in this process, the test harness included, runs on it.
#[global_allocator]
static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();

/// A small generator of pseudo-random numbers, so that a failure replays.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// An object that knows what it should hold.
struct Object {
    address: usize,
    layout: Layout,
    mark: u8,
}

impl Object {
    fn new(random: &mut Random) -> Object {
        let size = 1 + if random.below(16) == 0 {
            random.below(200_000)
        } else {
            random.below(1500)
        };
        let align = 1 << random.below(8);
        let layout = Layout::from_size_align(size, align).unwrap();
        let mark = random.below(256) as u8;
        // SAFETY: the size is above 0.
        let pointer = unsafe { ALLOCATOR.alloc(layout) };
        assert!(!pointer.is_null());
        assert_eq!(pointer as usize % align, 0, "{layout:?} is not aligned");
        // SAFETY: the object has `size` bytes.
        unsafe { pointer.write_bytes(mark, size) };
        Object {
            address: pointer as usize,
            layout,
            mark,
        }
    }

    fn check(&self) {
        // SAFETY: the object has so many bytes, all written, and is ours.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.address as *const u8, self.layout.size()) };
        assert!(
            bytes.iter().all(|byte| *byte == self.mark),
            "somebody else wrote into {:?}",
            self.layout
        );
    }

    fn resize(&mut self, random: &mut Random) {
        let size = 1 + random.below(3000);
        let kept = size.min(self.layout.size());
        // SAFETY: the object was allocated with this layout, and the size is above 0.
        let pointer = unsafe { ALLOCATOR.realloc(self.address as *mut u8, self.layout, size) };
        assert!(!pointer.is_null());
        // SAFETY: as in `check`; the bytes that both sizes have are written.
        let bytes = unsafe { std::slice::from_raw_parts(pointer, kept) };
        assert!(
            bytes.iter().all(|byte| *byte == self.mark),
            "realloc lost bytes of {:?}",
            self.layout
        );
        // SAFETY: the object has `size` bytes.
        unsafe { pointer.write_bytes(self.mark, size) };
        self.address = pointer as usize;
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.check();
        // SAFETY: the object was allocated with this layout and is not used any more.
        unsafe { ALLOCATOR.dealloc(self.address as *mut u8, self.layout) };
    }
}

#[test]
fn objects_stay_whole_whoever_frees_them() {
    let shelf = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let mut random = Random(seed);
                let mut own = Vec::new();
                for _ in 0..20_000 {
                    match random.below(10) {
                        0..=4 => own.push(Object::new(&mut random)),
                        5 if !own.is_empty() => {
                            let index = random.below(own.len());
                            own[index].resize(&mut random);
                        }
                        6 if !own.is_empty() => shelf
                            .lock()
                            .unwrap()
                            .push(own.swap_remove(random.below(own.len()))),
                        7 => drop(shelf.lock().unwrap().pop()),
                        _ if !own.is_empty() => drop(own.swap_remove(random.below(own.len()))),
                        _ => {}
                    }
                    if own.len() > 200 {
                        own.truncate(100);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_producer_uses_what_its_consumer_frees() {
    const OBJECTS: usize = 200_000;
    const SIZE: usize = 96;
    let (sender, receiver) = mpsc::sync_channel::<Box<[u8; SIZE]>>(256);
    let before = heddle_memory::usage();
    let consumer = thread::spawn(move || {
        let mut peak = 0;
        for object in receiver {
            assert_eq!(object[0], object[SIZE - 1]);
            drop(object);
            peak = peak.max(heddle_memory::usage());
        }
        peak
    });
    for n in 0..OBJECTS {
        sender.send(Box::new([n as u8; SIZE])).unwrap();
    }
    drop(sender);
    let peak = consumer.join().unwrap();
    // Without giving batches back to the producer this would be 19 MB. Other tests run beside this one.
    assert!(
        peak.saturating_sub(before) < 12 << 20,
        "{peak} bytes taken, {before} before"
    );
}

#[test]
fn a_zeroed_object_is_zero_though_others_have_used_it() {
    let layout = Layout::from_size_align(700, 8).unwrap();
    for _ in 0..100 {
        // SAFETY: the size is above 0.
        let pointer = unsafe { ALLOCATOR.alloc_zeroed(layout) };
        // SAFETY: the object has 700 bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(pointer, 700) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xff);
        // SAFETY: allocated with this layout just now.
        unsafe { ALLOCATOR.dealloc(pointer, layout) };
    }
}
