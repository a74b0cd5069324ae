/*
 * Threads in C without a C library: a mutex, a condition to join by, thread-local storage, and stacks of each thread's own. The host
 * gives them their stacks and starts them; everything else is here, made of the instructions that LLVM has for Wasm's threads.
 */
#include <stdatomic.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define FOR_EVER (-1)

/* Starts thread_main(thread) on another thread. */
__attribute__((import_module("host"), import_name("spawn"))) void host_spawn(void *thread);

/* --- A mutex: 0 free, 1 locked, 2 locked and somebody waits. (U. Drepper, "Futexes Are Tricky".) */

typedef struct {
  _Atomic int32_t state;
} mutex;

static void mutex_lock(mutex *lock) {
  int32_t state = 0;
  /* acquire: pairs with the exchange in mutex_unlock. */
  if (atomic_compare_exchange_strong(&lock->state, &state, 1)) return;
  if (state != 2) state = atomic_exchange(&lock->state, 2);
  while (state != 0) {
    __builtin_wasm_memory_atomic_wait32((int32_t *)&lock->state, 2, FOR_EVER);
    state = atomic_exchange(&lock->state, 2);
  }
}

static void mutex_unlock(mutex *lock) {
  if (atomic_exchange(&lock->state, 0) == 2) __builtin_wasm_memory_atomic_notify((int32_t *)&lock->state, 1);
}

/* --- Threads. */

typedef struct {
  void (*run)(void *);
  void *argument;
  /* 1 when it has ended: joiners wait on it. */
  _Atomic int32_t ended;
} thread;

static void thread_create(thread *created, void (*run)(void *), void *argument) {
  created->run = run;
  created->argument = argument;
  created->ended = 0;
  host_spawn(created);
}

EXPORT(thread_main) void thread_main(thread *self) {
  self->run(self->argument);
  /* Publishes what the thread wrote to the load in thread_join. */
  atomic_store(&self->ended, 1);
  __builtin_wasm_memory_atomic_notify((int32_t *)&self->ended, 1);
}

static void thread_join(thread *joined) {
  while (atomic_load(&joined->ended) == 0) __builtin_wasm_memory_atomic_wait32((int32_t *)&joined->ended, 0, FOR_EVER);
}

/* --- The program: counts primes; each thread takes the next numbers when it has done its last ones. */

#define THREADS 4
#define CHUNK 500

static mutex lock;
static uint32_t next_number = 2;
static uint32_t prime_count;
static uint32_t limit;
/* Begins at 100 in every thread. */
static _Thread_local uint32_t chunks_done = 100;

typedef struct {
  uint32_t chunks;
} result;

static int is_prime(uint32_t number) {
  for (uint32_t divisor = 2; divisor * divisor <= number; divisor++)
    if (number % divisor == 0) return 0;
  return 1;
}

static void count_primes(void *argument) {
  /* On the thread's stack: two that shared one would mix them up. */
  volatile uint32_t found[CHUNK];
  for (;;) {
    mutex_lock(&lock);
    uint32_t first = next_number;
    next_number += CHUNK;
    mutex_unlock(&lock);
    if (first >= limit) break;
    uint32_t count = 0;
    for (uint32_t number = first; number < first + CHUNK && number < limit; number++)
      if (is_prime(number)) found[count++] = number;
    for (uint32_t i = 0; i < count; i++)
      if (found[i] < first || found[i] >= first + CHUNK) __builtin_trap();
    mutex_lock(&lock);
    prime_count += count;
    mutex_unlock(&lock);
    chunks_done++;
  }
  ((result *)argument)->chunks = chunks_done - 100;
}

static result results[THREADS];

/* How many primes there are below a number. */
EXPORT(primes_below) uint32_t primes_below(uint32_t number) {
  thread threads[THREADS];
  limit = number;
  next_number = 2;
  prime_count = 0;
  for (int i = 0; i < THREADS; i++) thread_create(&threads[i], count_primes, &results[i]);
  for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
  return prime_count;
}

/* How many chunks all threads did: as many as there are. */
EXPORT(chunks) uint32_t chunks(void) {
  uint32_t sum = 0;
  for (int i = 0; i < THREADS; i++) sum += results[i].chunks;
  return sum;
}

/* Uses so much stack, a frame of little more than a hundred bytes after the other. */
EXPORT(deep) __attribute__((noinline)) uint32_t deep(uint32_t depth) {
  volatile uint32_t frame[24];
  for (int i = 0; i < 24; i++) frame[i] = depth;
  return depth == 0 ? 0 : deep(depth - 1) + (frame[depth % 24] == depth);
}
