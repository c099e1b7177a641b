// ExitTests: what a process of its own may do: use the step hook, refuse memory, die.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

/// What a process that was expected to end in some way said on standard error.
func text(_ result: ExitTest.Result?) -> String {
  String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
}

/// The lines that the heap printed.
func lines(_ result: ExitTest.Result?) -> [String] {
  text(result).split(separator: "\n").map(String.init).filter { $0.hasPrefix("tricolor: ") }
}

/// Where step hooks, which are plain C functions, put what they saw. Only in exit tests.
enum Seen {
  nonisolated(unsafe) static var heap: OpaquePointer!
  nonisolated(unsafe) static var mutators: [MutatorPointer] = []
  nonisolated(unsafe) static var phases: [tri_phase] = []
  nonisolated(unsafe) static var points: [tri_step_point] = []
  nonisolated(unsafe) static var mainThread = pthread_t()
  nonisolated(unsafe) static var object: Object!
  nonisolated(unsafe) static var threads: [pthread_t] = []
  nonisolated(unsafe) static var expectsProgress = false
  nonisolated(unsafe) static var lock = pthread_mutex_t()
  static let ticks = Counter()
  static let progressed = Counter()
  static let count = Counter()
  static let flag = Flag()
}

/// A thread that polls and counts until told to stop.
func ticking(_ heap: TestHeap, until stop: Flag) -> TestThread {
  TestThread {
    try! heap.attached { mutator in
      while !stop.isSet {
        tri_safepoint(mutator.pointer)
        Seen.ticks.add()
      }
    }
  }
}

/// Whether other threads get on: within two seconds where they are expected to, not within 20 ms otherwise.
func othersGetOn() -> Bool {
  let before = Seen.ticks.count
  for _ in 0..<(Seen.expectsProgress ? 2000 : 20) {
    pause(milliseconds: 1)
    if Seen.ticks.count > before { return true }
  }
  return false
}

/// A process that hangs is ended by SIGALRM: a failure like any other, instead of a wait for ever.
func endAfter(seconds: Int) { alarm(UInt32(seconds)) }
