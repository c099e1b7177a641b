// ForkTests: a child has its parent's heaps as they were, and one thread. Each test runs in a process of its own; what a
// child finds wrong is how it ends. Random forks of busy processes are in Tests/ModelTests/ThreadLoopTests.swift.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

/// Forks; the child runs the body, which says what is wrong, or nil, and ends.
private func childFinds(_ body: () -> String?) -> String? {
  fflush(nil)
  let child = fork()
  if child == 0 {
    alarm(10)
    let wrong = body()
    if let wrong { "in the child: \(wrong)\n".withCString { _ = write(2, $0, strlen($0)) } }
    _exit(wrong == nil ? 0 : 1)
  }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0 {}
  return child < 0 ? "fork was refused" : status == 0 ? nil : "the child ended with status \(status)"
}

/// What a child may expect of any heap: it collects in every mode, new threads attach, and it can be closed.
private func isUsable(_ heap: TestHeap, _ mutator: TestMutator?, _ kept: Slot?, _ length: Int, others: Int = 0)
  -> String?
{
  let statistics = heap.statistics
  if statistics.phase != .off { return "phase \(statistics.phase)" }
  if statistics.mutators != (mutator == nil ? 0 : 1) { return "\(statistics.mutators) mutators" }
  for mode in [Mode.background, .forceBlock, .force, .background, .forceBlock] {
    if let mutator { for _ in 0..<200 { _ = mutator.node() } }
    heap.collector.gc(mode)
    if kept.map({ listLength($0.pointee) }) ?? length != length { return "\(listLength(kept!.pointee)) of \(length)" }
  }
  let alive = heap.statistics.live_objects
  if alive != UInt64(length + others) { return "\(alive) alive, not \(length + others)" }
  tri_testing_verify(heap.heap)
  let companion = Companion(heap)
  let made = companion.run(besides: mutator) { listLength($0.list(50).pointee) }
  companion.end()
  return made == 50 ? nil : "\(made) of 50"
}

@Suite struct ForkTests {
  // MARK: From where

  @Test("a child collects in every mode and attaches threads, wherever the fork came from", arguments: 0..<6)
  func fromWhere(_ place: Int) async {
    await #expect(processExitsWith: .success) { [place = place as Int] in
      endAfter(seconds: 20)
      let heap = try TestHeap()
      if place == 0 {
        #expect(childFinds { isUsable(heap, nil, nil, 0) } == nil, "from a thread that is not attached")
        return
      }
      try heap.attached(conservative: place == 5) { mutator in
        let kept = mutator.list(100)
        if place == 1 { #expect(childFinds { isUsable(heap, mutator, kept, 100) } == nil, "attached, in a scope") }
        if place == 2 {
          tri_blocking_begin(mutator.pointer)
          let wrong = childFinds {
            tri_blocking_end(mutator.pointer)
            return isUsable(heap, mutator, kept, 100)
          }
          tri_blocking_end(mutator.pointer)
          #expect(wrong == nil, "in a blocking region")
        }
        if place == 3 {
          // A child of a child, each with what the one before it did.
          let wrong = childFinds {
            for _ in 0..<100 { _ = mutator.node() }
            return childFinds { isUsable(heap, mutator, kept, 100) } ?? isUsable(heap, mutator, kept, 100)
          }
          #expect(wrong == nil, "twice")
        }
        if place == 4 {
          let others = try (0..<5).map { _ in try TestHeap() }
          let wrong = childFinds {
            for other in others { if let wrong = isUsable(other, nil, nil, 0) { return wrong } }
            return isUsable(heap, mutator, kept, 100)
          }
          #expect(wrong == nil, "six heaps")
        }
        if place == 5 {
          #expect(childFinds { listLength(kept.pointee) == 100 ? nil : "lost" } == nil, "conservative")
        }
        #expect(heap.liveObjects() >= 100, "the parent goes on")
      }
    }
  }

  @Test("a child can close its heaps, whose threads it does not have")
  func close() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap { $0.mark_workers = 4 }
      try heap.attached { mutator in
        _ = mutator.list(30_000)
        heap.collect(.background)
        heap.collect(.force)
      }
      let wrong = childFinds {
        heap.close()
        return nil
      }
      #expect(wrong == nil)
      heap.close()
    }
  }

  // MARK: The other threads

  @Test("what other threads held dies in the child, and what waited in their windows is allocated again")
  func others() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      let companion = Companion(heap)
      try heap.attached { mutator in
        let kept = mutator.list(10)
        companion.run(besides: mutator) { other in
          _ = other.list(1000)
          for bytes in [16, 48, 200, 2000] { for _ in 0..<80 { tri_free(other.pointer, other.leaf(bytes)) } }
          tri_blocking_begin(other.pointer)
        }
        // It polls while it is asked for the stop.
        let stop = Flag()
        let polling = ticking(heap, until: stop)
        let wrong = childFinds { isUsable(heap, mutator, kept, 10) }
        stop.set()
        tri_blocking_begin(mutator.pointer)
        polling.join()
        tri_blocking_end(mutator.pointer)
        #expect(wrong == nil)
        companion.run(besides: mutator) { tri_blocking_end($0.pointer) }
        companion.end()
        #expect(heap.liveObjects() == 10)
      }
    }
  }

  @Test("pages that another thread was zeroing are free in the child")
  func pagesInHand() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap {
        $0.limit_bytes = 48 << 20
        $0.verify = 0
      }
      try heap.attached { mutator in
        // Touched before, so that they have to be zeroed.
        memset(mutator.leaf(40 << 20), 1, 40 << 20)
        heap.collect()
        let begun = Flag()
        Seen.mutators = [mutator.pointer]
        let thread = TestThread {
          try! heap.attached { other in
            begun.set()
            _ = other.leaf(40 << 20)
            while !largeIsEnough { tri_safepoint(other.pointer) }
          }
        }
        #expect(begun.wait())
        for _ in 0..<20 {
          let wrong = childFinds {
            heap.collector.gc(.forceBlock)
            return mutator.allocate(heap.leaf, 40 << 20).status == .ok ? nil : "the pages are lost"
          }
          #expect(wrong == nil)
        }
        largeIsEnough = true
        tri_blocking_begin(mutator.pointer)
        thread.join()
        tri_blocking_end(mutator.pointer)
      }
    }
  }

  // MARK: Cycles under way

  /// How far another thread's cycle has come.
  private static let moments = [
    "begun", "old ones forgotten", "barrier on", "scanned", "marked", "swap done", "swept",
  ]

  static func advance(_ cycle: HandCycle, to moment: String, _ triggered: Bool) {
    if moment == "begun" { return tri_cycle_begin(cycle.heap, .background) }
    if moment == "old ones forgotten" {
      tri_cycle_begin(cycle.heap, .background)
      tri_cycle_finish_sweep(cycle.heap)
      _ = tri_cycle_choose_generation(cycle.heap, triggered)
      return
    }
    cycle.begin(triggered: triggered)
    if moment == "barrier on" { return }
    cycle.scan()
    if moment == "scanned" { return }
    cycle.mark()
    if moment == "marked" { return }
    cycle.terminate()
    cycle.leaveTermination()
    if moment == "swap done" { return }
    if moment == "swept" { tri_cycle_sweep_all(cycle.heap) }
  }

  static func finish(_ cycle: HandCycle, from moment: String) {
    switch moment {
    case "begun", "old ones forgotten":
      // As a cycle that finds nothing to do.
      tri_cycle_end(cycle.heap)
    case "barrier on":
      cycle.scan()
      cycle.mark()
      cycle.finish()
    case "scanned":
      cycle.mark()
      cycle.finish()
    case "marked": cycle.finish()
    default:
      tri_cycle_sweep_all(cycle.heap)
      tri_cycle_end(cycle.heap)
    }
  }

  @Test(
    "a child gives a cycle up that another thread was running, and the parent ends it", arguments: moments,
    [false, true])
  func cycleUnderWay(_ moment: String, _ minor: Bool) async {
    await #expect(processExitsWith: .success) { [moment = moment as String, minor = minor as Bool] in
      endAfter(seconds: 20)
      let heap = minor ? try TestHeap.keepingMarks() : try TestHeap()
      let cycle = HandCycle(heap)
      try heap.attached { mutator in
        let kept = mutator.list(100)
        heap.collect(.background)
        let companion = Companion(heap)
        // Young things, some behind old ones.
        mutator.store(mutator.list(20).pointee, in: kept.pointee!, at: 1)
        companion.run(besides: mutator) { other in
          _ = other.list(30)
          ForkTests.advance(cycle, to: moment, minor)
        }
        let phase = heap.statistics.phase
        #expect(phase == (["barrier on", "scanned", "marked"].contains(moment) ? .mark : .off))
        // A store that the barrier records, and an object that is black.
        mutator.store(mutator.node(), in: kept.pointee!, at: 1)
        let wrong = childFinds {
          mutator.store(nil, in: kept.pointee!, at: 1)
          return isUsable(heap, mutator, kept, 100, others: 20)
        }
        #expect(wrong == nil)
        companion.run(besides: mutator) { _ in ForkTests.finish(cycle, from: moment) }
        #expect(listLength(kept.pointee) == 100)
        companion.end()
        heap.collect()
        #expect(heap.statistics.live_objects == 121)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("a fork waits for the unit of a sweep that is under way, and its child sweeps the rest")
  func sweeping() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      let layout = try heap.layout { description in
        description.destroy = { _, _, _ in
          Seen.count.add()
          usleep(20)
        }
      }
      try heap.attached { mutator in
        let kept = mutator.list(10)
        for _ in 0..<2000 { _ = mutator.object(layout, 64) }
        heap.collector.gc(.force)  // the collector thread sweeps
        #expect(eventually { Seen.count.count > 0 })
        let wrong = childFinds {
          if let wrong = isUsable(heap, mutator, kept, 10) { return wrong }
          return Seen.count.count == 2000 ? nil : "\(Seen.count.count) of 2000 destroyed, each once"
        }
        #expect(wrong == nil)
        heap.collect()
        #expect(Seen.count.count == 2000)
      }
    }
  }

  @Test("a child finishes a sweep in which large objects were looked at before small ones")
  func largeFirst() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      let layout = try heap.layout { description in
        description.destroy = { _, _, _ in Seen.count.add() }
      }
      try heap.attached { mutator in
        let kept = mutator.list(10)
        for _ in 0..<2000 { _ = mutator.object(layout, 64) }
        for _ in 0..<200 { _ = mutator.object(layout, 100 << 10) }
        HandCycle(heap).forceWithoutSweeping()
        _ = mutator.leaf(100 << 10)
        let seen = Seen.count.count
        #expect(seen > 0 && seen < 200, "some of the large ones")
        let wrong = childFinds {
          if let wrong = isUsable(heap, mutator, kept, 10) { return wrong }
          return Seen.count.count == 2200 ? nil : "\(Seen.count.count) of 2200 destroyed, each once"
        }
        #expect(wrong == nil)
        heap.collect()
        #expect(Seen.count.count == 2200)
      }
    }
  }

  @Test("a fork does not wait for a destroy callback that waits for a stopped thread's lock")
  func callbackWaits() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      pthread_mutex_init(&Seen.lock, nil)
      let layout = try heap.layout { description in
        description.destroy = { _, _, _ in
          Seen.flag.set()
          pthread_mutex_lock(&Seen.lock)
          pthread_mutex_unlock(&Seen.lock)
        }
      }
      let stop = Flag()
      let holds = Flag()
      try heap.attached { mutator in
        _ = mutator.object(layout, 64)
        let holder = TestThread {
          try! heap.attached { other in
            // Holds the lock, and goes from safepoint to safepoint.
            pthread_mutex_lock(&Seen.lock)
            holds.set()
            for _ in 0..<200 {
              tri_safepoint(other.pointer)
              pause(milliseconds: 1)
            }
            pthread_mutex_unlock(&Seen.lock)
            while !stop.isSet { tri_safepoint(other.pointer) }
          }
        }
        #expect(holds.wait())
        heap.collector.gc(.force)
        #expect(Seen.flag.wait())
        #expect(childFinds { isUsable(heap, mutator, nil, 0) } == nil)
        stop.set()
        tri_blocking_begin(mutator.pointer)
        holder.join()
        tri_blocking_end(mutator.pointer)
      }
    }
  }

  // MARK: Bad input

  private static let callbacks = [
    "hook", "destroy at a free", "destroy in a sweep", "trace", "root function", "closing",
  ]

  static func fork(from callback: String) throws {
    let heap = try TestHeap()
    let destroyed = try heap.layout { $0.destroy = { _, _, _ in _ = Glibc.fork() } }
    let traced = try heap.layout {
      $0.form = .custom
      $0.trace = { _, _, _, _ in _ = Glibc.fork() }
    }
    var pointer: MutatorPointer?
    _ = tri_attach(heap.heap, UInt32(TRI_ATTACH_PRECISE), &pointer)
    let mutator = TestMutator(pointer: pointer!, heap: heap.heap)
    _ = tri_scope_begin(mutator.pointer)
    switch callback {
    case "hook": _ = tri_hook_add(heap.heap, { _, _ in _ = Glibc.fork() }, nil, 0)
    case "destroy at a free": tri_free(mutator.pointer, mutator.object(destroyed, 64))
    case "destroy in a sweep": _ = mutator.object(destroyed, 64)
    case "trace": mutator.root(mutator.object(traced, 64))
    case "root function": _ = tri_root_add_callback(heap.heap, { _, _ in _ = Glibc.fork() }, nil, 0)
    default:
      _ = mutator.object(destroyed, 64)
      tri_scope_end(mutator.pointer, tri_scope(depth: 0, level: 1))
      _ = tri_detach(mutator.pointer)
      heap.close()
    }
    heap.collector.gc(.background)
  }

  @Test("fork from a callback of the heap is refused with a sentence", arguments: callbacks)
  func fromCallback(_ callback: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [callback = callback as String] in
      endAfter(seconds: 20)
      try ForkTests.fork(from: callback)
    }
    #expect(text(result).contains("fork from a callback of the heap"))
  }

  @Test("fork by the thread that runs a cycle step by step is refused")
  func fromCycle() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      HandCycle(heap).begin()
      _ = Glibc.fork()
    }
    #expect(text(result).contains("fork from inside a cycle of this thread's own"))
  }

  @Test("a cycle is given up in a forked child only")
  func abandonElsewhere() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_cycle_stop_world(cycle.heap)
      tri_cycle_set_phase(cycle.heap, .off)
    }
    #expect(text(result).contains("a cycle is given up, and this is no forked child"))
  }

  @Test("a thread that does not come by for a fork is named")
  func lateThread() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      let attached = Flag()
      let thread = TestThread {
        try! heap.attached { _ in
          attached.set()
          pause(milliseconds: 1500)
        }
      }
      #expect(attached.wait())
      #expect(childFinds { isUsable(heap, nil, nil, 0) } == nil)
      thread.join()
    }
    #expect(lines(result).contains { $0.contains("to stop for a fork since 1") && $0.contains("waiting for thread") })
  }
}

nonisolated(unsafe) private var largeIsEnough = false
