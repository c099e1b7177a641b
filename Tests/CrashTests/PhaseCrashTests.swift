// PhaseCrashTests: every assertion about the phase, the world and the end of marking fires and says why.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@testable import TricolorCore

@Suite struct PhaseCrashTests {
  // MARK: Allocation in mark termination (S7)

  private static let allocations = [
    "size 0", "a loaded window", "an unloaded window", "a type", "uninitialised", "large",
  ]

  static func allocate(_ what: String, _ crash: CrashHeap, _ type: tri_type) {
    switch what {
    case "size 0": _ = tri_alloc(crash.mutator, crash.leafLayout, 0)
    case "a loaded window": _ = tri_alloc(crash.mutator, crash.leafLayout, 64)
    case "an unloaded window": _ = tri_alloc(crash.mutator, crash.leafLayout, 640)
    case "a type": _ = tri_new(crash.mutator, type, 48)
    case "uninitialised": _ = tri_alloc_leaf_uninitialized(crash.mutator, 64)
    case "large": _ = tri_alloc(crash.mutator, crash.leafLayout, 100_000)
    default: fatalError(what)
    }
  }

  @Test("allocation in mark termination", arguments: PhaseCrashTests.allocations, [false, true])
  func allocation(_ what: String, _ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String, forced = forced as Bool] in
      let crash = CrashHeap()
      var type = tri_type()
      _ = tri_type_make(crash.heap, tri_layout_references(crash.heap), 48, &type)
      _ = tri_new(crash.mutator, type, 48)
      _ = crash.leaf(64)
      _ = tri_alloc_leaf_uninitialized(crash.mutator, 64)
      crash.terminate(forced: forced)
      PhaseCrashTests.allocate(what, crash, type)
    }
    expect(
      result, says: "allocation in phase markTermination: nothing may be allocated while marking is being completed")
  }

  @Test("allocation by the thread that called gc(), from inside the stop", arguments: [UInt32(0), 1, 2])
  func allocationInGc(_ mode: UInt32) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [mode = mode as UInt32] in
      Scene.crash = CrashHeap()
      _ = Scene.crash.leaf(64)
      tri_testing_set_step_hook { point in
        if point == .markingComplete { _ = Scene.crash.leaf(64) }
      }
      Scene.crash.collector.gc(tri_mode(rawValue: mode)!)
    }
    expect(result, says: "allocation in phase markTermination")
  }

  @Test("after mark termination allocation goes on, with the slots that nobody holds")
  func windowsGone() async {
    await #expect(processExitsWith: .success) {
      let crash = CrashHeap()
      let first = crash.leaf(64)
      crash.collector.gc(.background)
      #expect(crash.leaf(64) == first)
      #expect(crash.leaf(64) == first + 64)
    }
  }

  // MARK: Illegal moves (S6)

  static let phases: [tri_phase] = [.off, .mark, .markTermination]
  static let events: [PhaseEvent] = [.beginMarking, .worldStopped, .beginStopped, .markingComplete]

  @Test("every move that is not in the table", arguments: 0..<3, 0..<4)
  func illegalMove(_ phase: Int, _ event: Int) async {
    if Collector.next(PhaseCrashTests.phases[phase], PhaseCrashTests.events[event]) != nil { return }
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [phase = phase as Int, event = event as Int] in
      let crash = CrashHeap()
      switch PhaseCrashTests.phases[phase] {
      case .off:
        tri_cycle_begin(crash.heap, .force)
        tri_cycle_stop_world(crash.heap)
      case .mark:
        crash.beginMarking()
        tri_cycle_scan_roots(crash.heap)
        tri_cycle_mark_concurrently(crash.heap)
        tri_cycle_stop_world(crash.heap)
      case .markTermination: crash.terminate()
      }
      crash.collector.move(PhaseCrashTests.events[event])
    }
    let names = ["beginMarking", "worldStopped", "beginStopped", "markingComplete"]
    let phaseNames = ["off", "mark", "markTermination"]
    expect(result, says: "illegal phase move: \(names[event]) in phase \(phaseNames[phase])")
  }

  @Test("a move into or out of mark termination while the world runs")
  func worldRunning() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.beginMarking()
      crash.collector.move(.worldStopped)
    }
    expect(result, says: "phase mark: the world must be stopped by this thread, and is not")
  }

  @Test("a move while a sweep is running (S3)")
  func sweepRunning() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      crash.terminate(forced: true)
      tri_cycle_set_phase(crash.heap, .off)
      tri_cycle_begin_sweep(crash.heap)
      tri_cycle_start_world(crash.heap)
      tri_cycle_end(crash.heap)
      tri_cycle_begin(crash.heap, .background)
      crash.collector.move(.beginMarking)
    }
    expect(result, says: "phase off to mark while a sweep is running")
  }

  // MARK: Steps in the wrong phase (S8)

  private static let steps = [
    "enable barrier", "scan roots", "mark concurrently", "try to finish", "mark stopped", "assert complete",
    "checkmark",
    "finish sweep", "clear pools", "run hooks", "begin sweep", "sweep all",
  ]

  static func step(_ what: String, _ heap: OpaquePointer) {
    switch what {
    case "enable barrier": tri_cycle_enable_barrier(heap)
    case "scan roots": tri_cycle_scan_roots(heap)
    case "mark concurrently": tri_cycle_mark_concurrently(heap)
    case "try to finish": _ = tri_cycle_try_finish_marking(heap, 0)
    case "mark stopped": tri_cycle_mark_stopped(heap)
    case "assert complete": tri_cycle_assert_marking_complete(heap)
    case "checkmark": tri_cycle_checkmark(heap)
    case "finish sweep": tri_cycle_finish_sweep(heap)
    case "clear pools": tri_cycle_clear_pools(heap, false)
    case "run hooks": tri_cycle_run_hooks(heap, .background, false)
    case "begin sweep": tri_cycle_begin_sweep(heap)
    case "sweep all": tri_cycle_sweep_all(heap)
    default: fatalError(what)
    }
  }

  @Test("marking steps in phase off", arguments: PhaseCrashTests.steps.prefix(7))
  func inOff(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      tri_cycle_begin(crash.heap, .background)
      tri_cycle_stop_world(crash.heap)
      PhaseCrashTests.step(what, crash.heap)
    }
    expect(result, says: "in phase off, expected mark")
  }

  @Test("steps of phase off in phase mark", arguments: PhaseCrashTests.steps.dropFirst(7))
  func inMark(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      crash.beginMarking()
      PhaseCrashTests.step(what, crash.heap)
    }
    expect(result, says: "in phase mark, expected off")
  }

  @Test("steps of phase off in mark termination", arguments: PhaseCrashTests.steps.dropFirst(7))
  func inTermination(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      crash.terminate()
      PhaseCrashTests.step(what, crash.heap)
    }
    expect(result, says: "in phase markTermination, expected off")
  }

  @Test("sweeping, when marking has begun although a sweep is left")
  func sweepInMark() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      crash.terminate(forced: true)
      // The bits change roles in phase off only.
      tri_cycle_begin_sweep(crash.heap)
    }
    expect(result, says: "tri_cycle_begin_sweep in phase markTermination, expected off")
  }

  @Test("a cycle that begins or ends in a phase other than off")
  func beginAndEnd() async {
    let mark = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.beginMarking()
      tri_cycle_end(crash.heap)
    }
    expect(mark, says: "a cycle ends in phase mark, expected off")
    let termination = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.terminate()
      tri_cycle_end(crash.heap)
    }
    expect(termination, says: "a cycle ends in phase markTermination, expected off")
  }

  @Test("stopping a stopped world, starting a running one, a handshake in a stop")
  func stops() async {
    let twice = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_cycle_stop_world(crash.heap)
      tri_cycle_stop_world(crash.heap)
    }
    expect(twice, says: "stopping a world that is stopped")
    let running = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      tri_cycle_start_world(CrashHeap().heap)
    }
    expect(running, says: "the world must be stopped by this thread, and is not")
    let handshake = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.beginMarking()
      tri_cycle_stop_world(crash.heap)
      tri_cycle_scan_roots(crash.heap)
    }
    expect(handshake, says: "a handshake while the world is stopped")
    let elsewhere = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_cycle_stop_world(crash.heap)
      onAnotherThread { tri_cycle_start_world(crash.heap) }
    }
    expect(elsewhere, says: "the world must be stopped by this thread, and is not")
  }

  @Test("a broken expectation of the front names the phase")
  func frontFails() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.beginMarking()
      tri_cycle_fail(crash.heap, "what must be is not")
    }
    expect(result, says: "phase mark: what must be is not")
  }

  // MARK: The end of marking (S13)

  @Test("a grey chunk left at the end of marking", arguments: [false, true])
  func leftoverGrey(_ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [forced = forced as Bool] in
      let crash = CrashHeap()
      crash.terminate(forced: forced)
      tri_testing_break(crash.heap, .leftoverGrey)
      tri_cycle_set_phase(crash.heap, .off)
    }
    expect(result, says: "phase markTermination: marking ends with 1 chunks of grey objects and 0 workers left")
  }

  @Test("a worker that marks when windows are emptied in a stop")
  func leftoverWorker() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_testing_break(crash.heap, .worker)
      crash.terminate(forced: true)
    }
    expect(result, says: "windows are emptied in a stop while 1 workers mark")
  }

  @Test("a word left in a barrier buffer at the end of marking", arguments: [false, true])
  func leftoverBuffer(_ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [forced = forced as Bool] in
      let crash = CrashHeap()
      crash.terminate(forced: forced)
      tri_testing_break(crash.heap, .barrierBuffer)
      tri_cycle_assert_marking_complete(crash.heap)
    }
    expect(result, says: "phase markTermination: marking ends with 1 words in the barrier buffer of thread")
  }

  @Test("a stack not scanned at the end of marking")
  func unscannedStack() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.terminate()
      tri_cycle_reset_scan_state(crash.heap)
      tri_cycle_assert_marking_complete(crash.heap)
    }
    expect(result, says: "phase markTermination: marking ends with the stack of thread", "not scanned")
  }

  @Test("a barrier buffer that is flushed in phase off")
  func flushInOff() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_testing_break(crash.heap, .barrierBuffer)
      _ = tri_detach(crash.mutator)
    }
    expect(result, says: "a write barrier buffer holds 1 words in phase off")
  }

  // MARK: Checkmark (S10)

  @Test(
    "checkmark finds an object that marking missed", arguments: ["a root", "an object", "a list", "a large object"])
  func missed(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      _ = tri_scope_begin(crash.mutator)
      let object = what == "a large object" ? crash.node(100_000) : crash.node(8)
      _ = tri_scope_slot(crash.mutator, object)
      var missed = object
      if what != "a root" {
        missed = crash.node()
        tri_store(crash.mutator, object, object + 16, missed)
      }
      if what == "a list" {
        for _ in 0..<1000 {
          let next = crash.node()
          tri_store(crash.mutator, missed, missed, next)
          missed = next
        }
      }
      crash.terminate()
      tri_testing_unmark(crash.heap, missed)
      tri_cycle_checkmark(crash.heap)
    }
    expect(
      result, says: "checkmark: object 0x", "was missed", what == "a root" ? "a root refers to it" : "refers to it")
  }

  // MARK: Bad references

  @Test(
    "a reference slot that holds an interior address is found while marking, and by checkmark",
    arguments: [false, true])
  func interiorReference(_ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [forced = forced as Bool] in
      let crash = CrashHeap()
      _ = tri_scope_begin(crash.mutator)
      let object = crash.node()
      _ = tri_scope_slot(crash.mutator, object)
      tri_store(crash.mutator, object, object, crash.leaf(64) + 16)
      crash.collector.gc(forced ? .forceBlock : .background)
    }
    expect(result, says: "which is not the start of a live object")
  }

  @Test("a reference to another heap's object is an error in checked builds")
  func crossHeapStore() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let other = CrashHeap()
      let object = crash.node()
      let stranger = other.leaf()
      crash.beginMarking()
      tri_store(crash.mutator, object, object, stranger)
    }
    expect(result, says: "another heap")
  }
}
