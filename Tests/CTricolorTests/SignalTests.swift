// SignalTests: a signal handler that interrupted a slow path of the heap and uses the heap is told so, instead of
// waiting for itself for ever.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

/// What the handler does, on the thread that the signal interrupts.
nonisolated(unsafe) private var handlerDoes: @convention(c) () -> Void = {}
nonisolated(unsafe) private var interrupted: MutatorPointer!
nonisolated(unsafe) private var raiseAt = tri_step_point.refill

private func handleSignals(_ handler: @escaping @convention(c) (Int32) -> Void = { _ in handlerDoes() }) {
  signal(SIGUSR1, handler)
  // The process was started with it blocked.
  var set = sigset_t()
  sigemptyset(&set)
  sigaddset(&set, SIGUSR1)
  pthread_sigmask(SIG_UNBLOCK, &set, nil)
}

private func raiseOnce(at point: tri_step_point) {
  raiseAt = point
  tri_testing_set_step_hook { point in
    guard point == raiseAt else { return }
    tri_testing_set_step_hook(nil)
    raise(SIGUSR1)
  }
}

@Suite struct SignalTests {
  private static let uses = [
    "allocating", "allocating large", "polling", "beginning a blocking region", "detaching",
    "collecting", "fork", "freeing",
  ]

  static func use(_ what: String) {
    switch what {
    case "allocating":
      handlerDoes = { for _ in 0..<100 { _ = tri_alloc(interrupted, tri_layout_leaf(Seen.heap), 640) } }
    case "allocating large": handlerDoes = { _ = tri_alloc(interrupted, tri_layout_leaf(Seen.heap), 100_000) }
    case "polling": handlerDoes = { tri_safepoint_slow(interrupted) }
    case "beginning a blocking region": handlerDoes = { tri_blocking_begin(interrupted) }
    case "detaching": handlerDoes = { _ = tri_detach(interrupted) }
    case "collecting": handlerDoes = { tri_cycle_begin(Seen.heap, .force) }
    case "fork": handlerDoes = { _ = Glibc.fork() }
    default: handlerDoes = { tri_free(interrupted, Seen.object) }
    }
  }

  @Test("the heap is used from a handler that interrupted an allocation", arguments: uses)
  func interruptedAllocation(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      endAfter(seconds: 20)
      let heap = try TestHeap()
      Seen.heap = heap.heap
      try heap.attached { mutator in
        interrupted = mutator.pointer
        Seen.object = mutator.leaf(100_000)  // a window of its own would take a small one back
        handleSignals()
        SignalTests.use(what)
        raiseOnce(at: .refill)
        for _ in 0..<100 { _ = mutator.leaf(64) }
      }
    }
    let verb = what.split(separator: " ").first.map(String.init)!
    #expect(text(result).contains("in a signal handler that interrupted an allocation of the same thread"))
    #expect(text(result).contains("tricolor: \(verb)"))
  }

  @Test(
    "the heap is used from a handler that runs on a thread that stands still", arguments: ["allocating", "polling"])
  func interruptedStop(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      endAfter(seconds: 20)
      let heap = try TestHeap()
      Seen.heap = heap.heap
      handleSignals()
      SignalTests.use(what)
      let ready = Flag()
      nonisolated(unsafe) var thread = pthread_t()
      let parked = TestThread {
        try! heap.attached { mutator in
          interrupted = mutator.pointer
          thread = pthread_self()
          ready.set()
          while true { tri_safepoint(mutator.pointer) }
        }
      }
      _ = parked
      #expect(ready.wait())
      tri_cycle_begin(heap.heap, .force)
      tri_cycle_stop_world(heap.heap)
      pthread_kill(thread, SIGUSR1)
      sleep(10)
    }
    #expect(text(result).contains("in a signal handler that interrupted a safepoint of the same thread"))
  }

  @Test("a handler may interrupt anything if it leaves the heap alone, and what it sets a mutator may see")
  func leftAlone() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap { $0.stress_interval = 5 }
      handleSignals { _ in
        // Reads, and a flag of one's own.
        if tri_current_mutator(Seen.heap) == interrupted { Seen.count.add() }
      }
      Seen.heap = heap.heap
      try heap.attached { mutator in
        interrupted = mutator.pointer
        let target = pthread_self()
        let over = Flag()
        let thread = TestThread {
          while !over.isSet {
            pthread_kill(target, SIGUSR1)
            usleep(100)
          }
        }
        let kept = mutator.list(50)
        while Seen.count.count < 500 {
          for _ in 0..<50 { _ = mutator.node() }
        }
        over.set()
        tri_blocking_begin(mutator.pointer)
        thread.join()
        tri_blocking_end(mutator.pointer)
        #expect(listLength(kept.pointee) == 50)
      }
    }
  }
}
