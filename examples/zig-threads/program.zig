//! Threads in Zig without an operating system: they share a histogram under a mutex, and each has a thread-local generator of its own.

/// Starts thread_main(thread) on another thread.
extern "host" fn spawn(thread: *Thread) void;

/// 0 free, 1 locked, 2 locked and somebody waits. (U. Drepper, "Futexes Are Tricky".)
const Mutex = struct {
    state: i32 = 0,

    fn lock(self: *Mutex) void {
        // acquire: pairs with the exchange in unlock.
        var state = @cmpxchgStrong(i32, &self.state, 0, 1, .seq_cst, .seq_cst) orelse return;
        if (state != 2) state = @atomicRmw(i32, &self.state, .Xchg, 2, .seq_cst);
        while (state != 0) {
            wait(&self.state, 2);
            state = @atomicRmw(i32, &self.state, .Xchg, 2, .seq_cst);
        }
    }

    fn unlock(self: *Mutex) void {
        if (@atomicRmw(i32, &self.state, .Xchg, 0, .seq_cst) == 2) notify(&self.state);
    }
};

const Thread = struct {
    seed: u32,
    /// 1 when it has ended: joiners wait on it.
    ended: i32 = 0,

    fn join(self: *Thread) void {
        while (@atomicLoad(i32, &self.ended, .seq_cst) == 0) wait(&self.ended, 0);
    }
};

fn wait(word: *i32, expected: i32) void {
    const forever: i64 = -1;
    _ = asm volatile (
        \\local.get %[word]
        \\local.get %[expected]
        \\local.get %[timeout]
        \\memory.atomic.wait32 0
        \\local.set %[result]
        : [result] "=r" (-> u32),
        : [word] "r" (word),
          [expected] "r" (expected),
          [timeout] "r" (forever),
        : .{ .memory = true });
}

fn notify(word: *i32) void {
    _ = asm volatile (
        \\local.get %[word]
        \\local.get %[count]
        \\memory.atomic.notify 0
        \\local.set %[result]
        : [result] "=r" (-> u32),
        : [word] "r" (word),
          [count] "r" (@as(i32, 1)),
        : .{ .memory = true });
}

const thread_count = 4;
const throws_each = 50_000;
const faces = 6;

/// Begins at the same number in every thread, which then seeds it.
threadlocal var generator: u32 = 0x2545_f491;

var lock: Mutex = .{};
var histogram: [faces]u32 = @splat(0);

/// G. Marsaglia's xorshift.
fn random() u32 {
    generator ^= generator << 13;
    generator ^= generator >> 17;
    generator ^= generator << 5;
    return generator;
}

export fn thread_main(self: *Thread) void {
    if (generator != 0x2545_f491) @trap();
    generator ^= self.seed;
    for (0..throws_each) |_| {
        const face = random() % faces;
        lock.lock();
        histogram[face] += 1;
        lock.unlock();
    }
    // Publishes the histogram to the load in join.
    @atomicStore(i32, &self.ended, 1, .seq_cst);
    notify(&self.ended);
}

/// Throws dice on all threads; how many throws were counted.
export fn throw_dice() u32 {
    var threads: [thread_count]Thread = undefined;
    for (&threads, 1..) |*thread, seed| {
        thread.* = .{ .seed = @intCast(seed) };
        spawn(thread);
    }
    for (&threads) |*thread| thread.join();
    var sum: u32 = 0;
    for (histogram) |count| sum += count;
    return sum;
}

/// How often one face came.
export fn thrown(face: u32) u32 {
    return histogram[face];
}
