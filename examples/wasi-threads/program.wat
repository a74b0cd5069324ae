;; A program of wasi-threads, by hand: three threads add to one sum; the first waits for them and prints it.
;;
;; Its data segments are active, as they would be without threads in mind. The host makes them passive.
(module
  (import "env" "memory" (memory 1 16 shared))
  (import "wasi" "thread-spawn" (func $thread_spawn (param $argument i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  ;; 0: the sum; 4: how many threads have ended. 16: an iovec; 24: how much was written. 32: digits, written from their end, at 44.
  (data (i32.const 0) "\00\00\00\00\00\00\00\00")
  (data (i32.const 44) "\n")
  (data (i32.const 64) "the sum of all threads: ")

  (func $print (param $at i32) (param $size i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $size))
    (if (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)) (then (call $proc_exit (i32.const 2)))))

  ;; The digits of a number and the end of the line behind them.
  (func $print_number (param $number i32)
    (local $at i32)
    (local.set $at (i32.const 44))
    (loop $digits
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (br_if $digits (local.tee $number (i32.div_u (local.get $number) (i32.const 10)))))
    (call $print (local.get $at) (i32.sub (i32.const 45) (local.get $at))))

  ;; Where threads begin: adds their argument a thousand times.
  (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
    (local $left i32)
    (if (i32.le_s (local.get $id) (i32.const 0)) (then unreachable))
    (local.set $left (i32.const 1000))
    (loop $again
      (drop (i32.atomic.rmw.add (i32.const 0) (local.get $argument)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    ;; Publishes the sum to the load in $join.
    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 4) (i32.const 1))))

  (func $join (param $count i32)
    (local $ended i32)
    (loop $again
      (local.set $ended (i32.atomic.load (i32.const 4)))
      (if (i32.lt_u (local.get $ended) (local.get $count))
        (then
          (drop (memory.atomic.wait32 (i32.const 4) (local.get $ended) (i64.const -1)))
          (br $again)))))

  (func (export "_start")
    (local $argument i32)
    (local.set $argument (i32.const 1))
    (loop $spawn
      (if (i32.le_s (call $thread_spawn (local.get $argument)) (i32.const 0)) (then (call $proc_exit (i32.const 1))))
      (br_if $spawn (i32.le_u (local.tee $argument (i32.add (local.get $argument) (i32.const 1))) (i32.const 3))))
    (call $join (i32.const 3))
    (call $print (i32.const 64) (i32.const 24))
    (call $print_number (i32.atomic.load (i32.const 0)))
    (call $proc_exit (i32.const 7))))
