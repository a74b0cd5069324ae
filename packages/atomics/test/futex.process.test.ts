/** What only a process of its own can show: how long asynchronous waits keep it. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

/** Runs lines as a module that has this package's exports, in a process of this host of its own; what it printed. */
async function inProcess(lines: string, preface: string = ''): Promise<string> {
  const index = new URL('../src/index.ts', import.meta.url).href;
  const condition = '--conditions=@heddle/source';
  const isDeno = process.versions['deno'] !== undefined;
  const args = isDeno ? ['run', '--allow-all', '--no-lock', condition, '-'] : [condition, '--input-type=module', '-'];
  const child = spawn(process.execPath, process.versions['bun'] === undefined ? args : [condition, 'run', '-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(
    `${preface}\nconst atomics = await import(${JSON.stringify(index)});\nconst semaphore = atomics.Semaphore.create(0);\n${lines}`,
  );
  return (await text(child.stdout)).trim();
}

test('a pending asynchronous wait keeps its process, which nothing else does', async () => {
  expect(await inProcess(`semaphore.acquireAsync({ timeoutMs: 200 }).catch((error) => console.log(error.code));`)).toBe('TIMEOUT');
});

test('one that has ended, or was given up, keeps it no longer', async () => {
  const lines = `
    const controller = new AbortController();
    const given = semaphore.acquireAsync({ signal: controller.signal }).catch((error) => console.log(error.code));
    const got = semaphore.acquireAsync();
    controller.abort();
    semaphore.release();
    await Promise.all([given, got]);
    console.log('ended');`;
  expect(await inProcess(lines)).toBe('ABORTED\nended');
});

test('pending ones never poll: one timer keeps the process, and no wait is begun again and again', async () => {
  const preface = `
    let begun = 0;
    const { waitAsync } = Atomics;
    if (waitAsync !== undefined) Atomics.waitAsync = (...args) => (begun += 1, Reflect.apply(waitAsync, Atomics, args));`;
  const lines = `
    const { AtomicI32, Barrier, Condition, Event, Latch, Mutex, Once, Parker, RwLock, WaitGroup } = atomics;
    const [mutex, rwLock, condition, once, parker, group] = [new Mutex(), new RwLock(), new Condition(), new Once(), new Parker(), new WaitGroup()];
    const [barrier, event, latch, cell] = [Barrier.create(2), Event.create(), Latch.create(1), AtomicI32.create(1)];
    const [locked, written, guard] = [mutex.lock(), rwLock.write(), new Mutex().lock()];
    const gate = Promise.withResolvers();
    const running = once.callAsync(() => gate.promise);
    group.add();
    const { setTimeout: after } = globalThis;
    const timers = [];
    for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
      const original = globalThis[name];
      globalThis[name] = (action, ms, ...rest) => (timers.push(name + ' ' + ms), original(action, ms, ...rest));
    }
    const waiting = [
      semaphore.acquireAsync(), mutex.lockAsync(), rwLock.readAsync(), condition.waitAsync(guard), once.waitAsync(), parker.parkAsync(),
      group.waitAsync(), barrier.waitAsync(), event.waitAsync(), latch.waitAsync(), cell.waitAsync(1),
    ];
    await new Promise((resolve) => after(resolve, 300));
    // Twice: who waits for a lock loses patience once, and is then the next in turn.
    console.log(timers.join(), begun <= 2 * waiting.length);
    semaphore.release(); locked.unlock(); written.unlock(); condition.notify(); gate.resolve(); parker.unparker().unpark();
    group.done(); barrier.tryWait(); event.set(); latch.countDown(); cell.store(2); cell.notify();
    await Promise.all([running, ...waiting]);
    console.log('ended');`;
  expect(await inProcess(lines, preface)).toBe(`setInterval ${2 ** 30} true\nended`);
});
