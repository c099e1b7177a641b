// SemanticsTests: the rows S1 to S9 of DESIGN section 1, each its own test, or several; S10 to S17 are in CheckedSemanticsTests.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@testable import TricolorCore

@Suite struct SemanticsTests {
  static let modes: [Mode] = [.background, .force, .forceBlock]

  // MARK: S1

  @Test("S1: background marks beside the mutators; force and forceBlock stop them for the whole mark")
  func s1Marking() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      let stop = Flag()
      tri_testing_set_step_hook { point in
        if point != .markBatch { return }
        Seen.count.add()
        if othersGetOn() { Seen.progressed.add() }
      }
      let thread = ticking(heap, until: stop)
      try heap.attached { mutator in
        mutator.root(mutator.list(10).pointee)
        #expect(eventually { Seen.ticks.count > 0 })
        Seen.expectsProgress = true
        heap.collect(.background)
        Seen.expectsProgress = false
        #expect(Seen.count.count > 0 && Seen.progressed.count == Seen.count.count)
        for mode in [Mode.force, .forceBlock] {
          let batches = Seen.count.count
          let progressed = Seen.progressed.count
          heap.collect(mode)
          #expect(Seen.count.count > batches && Seen.progressed.count == progressed)
        }
      }
      stop.set()
      thread.join()
    }
  }

  @Test("S1: force sweeps lazily, forceBlock sweeps everything before it returns")
  func s1Sweeping() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      Seen.mainThread = pthread_self()
      tri_testing_set_step_hook { point in
        // The collector thread waits; the caller of gc() never does.
        if point == .sweepUnit && pthread_equal(pthread_self(), Seen.mainThread) == 0 { _ = Seen.flag.wait() }
      }
      try heap.attached { mutator in
        for _ in 0..<1000 { _ = mutator.leaf(1000) }
        heap.collector.gc(.force)
        #expect(tri_testing_sweep_is_running(heap.heap))
        Seen.flag.set()
        #expect(eventually { !tri_testing_sweep_is_running(heap.heap) })
        for _ in 0..<1000 { _ = mutator.leaf(1000) }
        heap.collector.gc(.forceBlock)
        #expect(!tri_testing_sweep_is_running(heap.heap))
        #expect(heap.statistics.live_objects == 0)
      }
    }
  }

  // MARK: S2

  @Test("S2: a stopped world stands still until it is started, and the caller stays attached")
  func s2() throws {
    let heap = try TestHeap()
    let counters = (0..<4).map { _ in Counter() }
    let stop = Flag()
    let threads = counters.map { counter in
      TestThread {
        try! heap.attached { mutator in
          while !stop.isSet {
            tri_safepoint(mutator.pointer)
            _ = mutator.leaf(32)
            counter.add()
          }
        }
      }
    }
    try heap.attached { mutator in
      #expect(eventually { counters.allSatisfy { $0.count > 0 } })
      for _ in 0..<10 {
        tri_cycle_begin(heap.heap, .force)
        tri_cycle_stop_world(heap.heap)
        let before = counters.map(\.count)
        pause(milliseconds: 10)
        #expect(counters.map(\.count) == before)
        #expect(tri_current_mutator(heap.heap) == mutator.pointer)
        #expect(heap.statistics.mutators == 5)
        tri_cycle_start_world(heap.heap)
        tri_cycle_end(heap.heap)
        #expect(tri_current_mutator(heap.heap) == mutator.pointer)
        #expect(eventually { zip(counters, before).allSatisfy { $0.count > $1 } })
      }
      stop.set()
    }
    for thread in threads { thread.join() }
  }

  // MARK: S3

  @Test(
    "S3: sweep left over from the last cycle is finished before a new cycle marks anything",
    arguments: SemanticsTests.modes)
  func s3(_ mode: Mode) throws {
    let heap = try TestHeap()
    let cycle = HandCycle(heap)
    let record = HookRecord(heap)
    record.add()
    try heap.attached { mutator in
      let kept = mutator.list(500)
      for round in 0..<5 {
        for _ in 0..<5000 { _ = mutator.node() }
        cycle.forceWithoutSweeping()
        #expect(tri_testing_sweep_is_running(heap.heap))
        heap.collect(mode)
        #expect(record.calls.count == round + 1)
        #expect(record.calls.allSatisfy { !$0.sweepIsRunning })
        #expect(heap.statistics.live_objects == 500)
      }
      #expect(listLength(kept.pointee) == 500)
    }
    record.remove()
  }

  @Test("S3: forced cycles one after another sweep all of each other's dead")
  func s3Repeated() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = mutator.list(100)
      for round in 0..<60 {
        for _ in 0..<300 { _ = mutator.leaf(400) }
        heap.collector.gc(SemanticsTests.modes[round % 3])
      }
      #expect(heap.liveObjects() == 100)
      #expect(listLength(kept.pointee) == 100)
      #expect(heap.statistics.mapped_bytes < 4 << 20)
    }
  }

  // MARK: S4

  @Test("S4: what only a pool held is freed in this very cycle, in every mode", arguments: SemanticsTests.modes)
  func s4Pools(_ mode: Mode) throws {
    let heap = try TestHeap()
    let pools = (0..<3).map { _ in makePool(heap, 0) }
    try heap.attached { mutator in
      for pool in pools {
        for _ in 0..<100 {
          let object = mutator.node()
          mutator.store(mutator.leaf(16), in: object)
          tri_pool_put(mutator.pointer, pool, object)
        }
      }
      #expect(pools.allSatisfy { tri_pool_count($0) == 100 })
      // What is taken belongs to the taker; what is rooted as well lives on.
      mutator.root(tri_pool_take(mutator.pointer, pools[1]))
      let both = mutator.leaf(16)
      tri_pool_put(mutator.pointer, pools[2], both)
      mutator.root(both)
      #expect(heap.liveObjects(after: mode) == 3)
      #expect(heap.statistics.cycles == 1)
      #expect(pools.allSatisfy { tri_pool_count($0) == 0 })
      #expect(tri_pool_take(mutator.pointer, pools[0]) == nil)
      // And again.
      tri_pool_put(mutator.pointer, pools[0], mutator.leaf(16))
      #expect(heap.liveObjects(after: mode) == 3)
    }
    for pool in pools { tri_pool_free(heap.heap, pool) }
  }

  @Test(
    "S4: hooks run first of all, in the order they were added, in phase off and with the barrier off",
    arguments: SemanticsTests.modes)
  func s4Hooks(_ mode: Mode) throws {
    let heap = try TestHeap()
    let record = HookRecord(heap)
    let order = OrderRecord()
    record.add()
    order.add(heap)
    try heap.attached { mutator in
      record.mutator = mutator.pointer
      heap.collect(mode)
      let call = try #require(record.calls.first)
      #expect(record.calls.count == 1)
      #expect(call.mode == mode && call.phase == .off && !call.barrierIsOn && !call.sweepIsRunning)
      #expect(order.called == [0, 1, 2, 3, 4])
      heap.collect(mode)
      #expect(order.called == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    }
    order.remove(heap)
    record.remove()
    heap.collect(mode)
    #expect(order.called.count == 10 && record.calls.count == 2)
  }

  @Test("S4: what a hook drops is freed in this very cycle", arguments: SemanticsTests.modes)
  func s4HookDrops(_ mode: Mode) throws {
    let heap = try TestHeap()
    let cache = Slot.allocate(capacity: 1)
    cache.initialize(to: nil)
    defer { cache.deallocate() }
    let drop: @convention(c) (tri_mode, UnsafeMutableRawPointer?) -> Void = { _, context in
      context!.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee = nil
    }
    try heap.attached { mutator in
      #expect(tri_root_add_range(heap.heap, cache, 1, 0) == .ok)
      #expect(tri_hook_add(heap.heap, drop, cache, 0) == .ok)
      tri_root_store(mutator.pointer, cache, mutator.leaf(16))
      #expect(heap.liveObjects(after: mode) == 0)
      #expect(tri_hook_remove(heap.heap, drop, nil) == .notFound)
      #expect(tri_hook_remove(heap.heap, drop, cache) == .ok)
      #expect(tri_hook_remove(heap.heap, drop, cache) == .notFound)
      #expect(tri_root_remove_range(heap.heap, cache) == .ok)
    }
  }

  @Test("S4: a hook that asks for a stop gets one in background mode too, others do not")
  func s4Stop() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      let stop = Flag()
      let thread = ticking(heap, until: stop)
      let watch: @convention(c) (tri_mode, UnsafeMutableRawPointer?) -> Void = { _, _ in
        Seen.count.add()
        if othersGetOn() { Seen.progressed.add() }
      }
      #expect(eventually { Seen.ticks.count > 0 })
      #expect(tri_hook_add(heap.heap, watch, nil, UInt32(TRI_HOOK_NEEDS_STOP)) == .ok)
      for mode in [Mode.background, .force, .forceBlock] { heap.collect(mode) }
      #expect(Seen.count.count == 3 && Seen.progressed.count == 0)
      #expect(tri_hook_remove(heap.heap, watch, nil) == .ok)
      #expect(tri_hook_add(heap.heap, watch, nil, 0) == .ok)
      Seen.expectsProgress = true
      heap.collect(.background)
      #expect(Seen.count.count == 4 && Seen.progressed.count == 1)
      stop.set()
      thread.join()
    }
  }

  @Test("S4: a victim cache is one background cycle late; force modes drop it at once")
  func s4Victims() throws {
    let heap = try TestHeap()
    let pool = makePool(heap, UInt32(TRI_POOL_VICTIM))
    try heap.attached { mutator in
      func fill() { for _ in 0..<50 { tri_pool_put(mutator.pointer, pool, mutator.leaf(16)) } }
      fill()
      #expect(heap.liveObjects(after: .background) == 50)
      #expect(tri_pool_count(pool) == 50)
      #expect(tri_pool_take(mutator.pointer, pool) != nil)
      #expect(heap.liveObjects(after: .background) == 0)
      #expect(tri_pool_count(pool) == 0)
      for mode in [Mode.force, .forceBlock] {
        fill()
        #expect(heap.liveObjects(after: mode) == 0)
        fill()
        heap.collect(.background)
        fill()
        #expect(tri_pool_count(pool) == 100)
        #expect(heap.liveObjects(after: mode) == 0)
        #expect(tri_pool_count(pool) == 0)
      }
    }
    tri_pool_free(heap.heap, pool)
  }

  @Test("S4: a cycle at the limit drops victims too")
  func s4VictimsAtLimit() throws {
    let heap = try TestHeap { $0.limit_bytes = 8 << 20 }
    let pool = makePool(heap, UInt32(TRI_POOL_VICTIM))
    try heap.attached { mutator in
      for _ in 0..<100 { tri_pool_put(mutator.pointer, pool, mutator.leaf(64 << 10)) }
      heap.collect(.background)
      #expect(tri_pool_count(pool) == 100)
      #expect(mutator.allocate(heap.leaf, 6 << 20).status == .ok)
      #expect(tri_pool_count(pool) == 0)
    }
  }

  @Test("S4: a hook that removes itself does not hide the next one")
  func s4Removal() throws {
    let heap = try TestHeap()
    let once = HookRecord(heap)
    let after = HookRecord(heap)
    once.removesItself = true
    once.add()
    after.add()
    heap.collect(.background)
    #expect(once.calls.count == 1 && after.calls.count == 1)
    heap.collect(.background)
    #expect(once.calls.count == 1 && after.calls.count == 2)
    after.remove()
  }

  func makePool(_ heap: TestHeap, _ flags: UInt32) -> OpaquePointer {
    var pool: OpaquePointer?
    #expect(tri_pool_make(heap.heap, flags, &pool) == .ok)
    return pool!
  }

  // MARK: S5

  @Test("S5: the barrier is on from the start of marking until mark termination is complete, stopped or not")
  func s5() throws {
    let heap = try TestHeap()
    let other = BlockedThread(heap)
    try heap.attached { mutator in
      let cycle = HandCycle(heap)
      func on() -> [Bool] { [mutator.barrierIsOn, tri_testing_barrier_is_on(other.mutator)] }
      #expect(on() == [false, false])
      cycle.begin()
      #expect(on() == [true, true])
      cycle.scan()
      #expect(on() == [true, true])
      cycle.mark()
      #expect(on() == [true, true])
      tri_cycle_stop_world(heap.heap)
      #expect(on() == [true, true])
      #expect(tri_cycle_try_finish_marking(heap.heap, 0))
      tri_cycle_set_phase(heap.heap, .markTermination)
      #expect(on() == [true, true])
      tri_cycle_assert_marking_complete(heap.heap)
      #expect(on() == [true, true])
      tri_cycle_set_phase(heap.heap, .off)
      #expect(on() == [false, false])
      tri_cycle_begin_sweep(heap.heap)
      tri_cycle_start_world(heap.heap)
      tri_cycle_sweep_all(heap.heap)
      tri_cycle_end(heap.heap)
      #expect(on() == [false, false])
      cycle.forceToTermination()
      #expect(on() == [true, true])
      cycle.leaveTermination()
      #expect(on() == [false, false])
      tri_cycle_sweep_all(heap.heap)
      tri_cycle_end(heap.heap)
    }
    other.end()
  }

  @Test(
    "S5: no step of a real cycle between its first and its last phase has the barrier off",
    arguments: [UInt32(0), 1, 2])
  func s5EveryStep(_ mode: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32] in
      let heap = try TestHeap { $0.trace = 2 }
      let other = BlockedThread(heap)
      try heap.attached { mutator in
        mutator.root(mutator.list(1000).pointee)
        Seen.heap = heap.heap
        Seen.mutators = [mutator.pointer, other.mutator]
        tri_testing_set_step_hook { point in
          let marking = tri_cycle_phase(Seen.heap) != .off
          // The handshake that turns it on comes right after the phase, and is answered by each on its own.
          if tri_cycle_phase(Seen.heap) == .mark && [.phase, .handshake].contains(point) { return }
          Seen.count.add()
          if Seen.mutators.contains(where: { tri_testing_barrier_is_on($0) != marking }) { Seen.progressed.add() }
        }
        heap.collect(Mode(rawValue: mode)!)
        tri_testing_set_step_hook(nil)
        #expect(Seen.count.count > 5)
        #expect(Seen.progressed.count == 0)
      }
      other.end()
    }
  }

  @Test("S5: the collector's own store while the world is stopped shades, and marking is completed again")
  func s5CollectorStores() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for forced in [false, true] {
        let scope = tri_scope_begin(mutator.pointer)
        let record = mutator.node()
        let old = mutator.list(30)
        mutator.root(record)
        mutator.store(old.pointee, in: record)
        old.pointee = nil
        let cycle = HandCycle(heap)
        let moved = mutator.list(40)
        let object = moved.pointee!
        moved.pointee = nil
        if forced {
          cycle.forceToTermination()
        } else {
          cycle.begin()
          cycle.scan()
          cycle.mark()
          cycle.terminate()
        }
        #expect(!tri_testing_is_marked(heap.heap, object))
        tri_cycle_store(heap.heap, record, object)
        #expect(tri_testing_is_marked(heap.heap, object))
        // Its checkmark and its proof of completeness are in here.
        cycle.leaveTermination()
        tri_cycle_sweep_all(heap.heap)
        tri_cycle_end(heap.heap)
        #expect(reference(record) == object && listLength(object) == 40)
        #expect(heap.liveObjects() == 41)
        tri_scope_end(mutator.pointer, scope)
      }
    }
  }

  // MARK: S6

  @Test("S6: the legal moves are these four")
  func s6() {
    let phases: [tri_phase] = [.off, .mark, .markTermination]
    let events: [PhaseEvent] = [.beginMarking, .worldStopped, .beginStopped, .markingComplete]
    var legal: [String] = []
    for phase in phases {
      for event in events {
        if let next = Collector.next(phase, event) { legal.append("\(phase) \(event) \(next)") }
      }
    }
    let expected: [(tri_phase, PhaseEvent, tri_phase)] = [
      (.off, .beginMarking, .mark), (.off, .beginStopped, .markTermination), (.mark, .worldStopped, .markTermination),
      (.markTermination, .markingComplete, .off),
    ]
    #expect(legal == expected.map { "\($0) \($1) \($2)" })
  }

  @Test("S6: cycles take these moves and no others", arguments: [UInt32(0), 1, 2], [UInt32(0), 2])
  func s6Cycles(_ mode: UInt32, _ trace: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32, trace = trace as UInt32] in
      let heap = try TestHeap { $0.trace = trace }
      Seen.heap = heap.heap
      tri_testing_set_step_hook { point in
        if point == .phase { Seen.phases.append(tri_cycle_phase(Seen.heap)) }
      }
      heap.collect(Mode(rawValue: mode)!)
      let first: [tri_phase] = mode == 0 ? [.mark, .markTermination, .off] : [.markTermination, .off]
      #expect(Seen.phases == first + (trace == 2 ? [.markTermination, .off] : []))
    }
  }

  @Test("S6: an illegal move is fatal and names the event and the phase")
  func s6Illegal() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      tri_cycle_begin(heap.heap, .force)
      tri_cycle_stop_world(heap.heap)
      heap.collector.move(.markingComplete)
    }
    let said = text(result)
    #expect(said.contains("illegal phase move: markingComplete in phase off"))
  }

  // MARK: S7

  @Test(
    "S7: allocation during mark termination is fatal, from the thread that called gc() and with a loaded window too")
  func s7() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      try heap.attached { mutator in
        _ = mutator.leaf(64)
        Seen.mutators = [mutator.pointer]
        Seen.heap = heap.heap
        tri_testing_set_step_hook { point in
          if point == .markingComplete { _ = tri_alloc(Seen.mutators[0], tri_layout_leaf(Seen.heap), 64) }
        }
        heap.collector.gc(.background)
      }
    }
    let said = text(result)
    #expect(said.contains("allocation in phase markTermination"))
  }

  // MARK: S8

  @Test("S8: marking outside a marking phase is fatal")
  func s8Marking() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      tri_cycle_begin(heap.heap, .background)
      tri_cycle_mark_concurrently(heap.heap)
    }
    let said = text(result)
    #expect(said.contains("tri_cycle_mark_concurrently in phase off, expected mark"))
  }

  @Test("S8: sweeping in any phase but off is fatal")
  func s8Sweeping() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_cycle_stop_world(heap.heap)
      tri_cycle_begin_sweep(heap.heap)
    }
    let said = text(result)
    #expect(said.contains("in phase mark, expected off"))
  }

  @Test("S8: a cycle that ends in any phase but off is fatal")
  func s8End() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_cycle_end(heap.heap)
    }
    let said = text(result)
    #expect(said.contains("a cycle ends in phase mark, expected off"))
  }

  // MARK: S9

  @Test(
    "S9: force modes forget which stacks were scanned, so that mark termination scans all roots again",
    arguments: [Mode.force, .forceBlock])
  func s9(_ mode: Mode) throws {
    let heap = try TestHeap()
    let other = BlockedThread(heap)
    try heap.attached { mutator in
      let slot = mutator.root(mutator.leaf(16))
      heap.collect(.background)
      #expect(!mutator.stackIsGrey && !tri_testing_stack_is_grey(other.mutator))
      // On the stack only since the last scan.
      slot.pointee = mutator.list(20).pointee
      #expect(heap.liveObjects(after: mode) == 20)
      #expect(heap.statistics.marked_objects_at_last_cycle == 20)
      tri_cycle_begin(heap.heap, mode)
      tri_cycle_stop_world(heap.heap)
      tri_cycle_finish_sweep(heap.heap)
      #expect(!mutator.stackIsGrey)
      tri_cycle_reset_scan_state(heap.heap)
      #expect(mutator.stackIsGrey && tri_testing_stack_is_grey(other.mutator))
      tri_cycle_set_phase(heap.heap, .markTermination)
      tri_cycle_mark_stopped(heap.heap)
      #expect(!mutator.stackIsGrey && !tri_testing_stack_is_grey(other.mutator))
      HandCycle(heap).leaveTermination()
      tri_cycle_end(heap.heap)
    }
    other.end()
  }
}

// MARK: Helpers of this file

/// A hook that records what the heap looked like when it ran.
final class HookRecord: @unchecked Sendable {
  struct Call {
    var mode: Mode
    var phase: tri_phase
    var sweepIsRunning: Bool
    var barrierIsOn: Bool
  }
  private let heap: OpaquePointer
  var mutator: MutatorPointer?
  var removesItself = false
  var calls: [Call] = []

  init(_ heap: TestHeap) {
    self.heap = heap.heap
    heap.keep(self)
  }

  private static let function: @convention(c) (tri_mode, UnsafeMutableRawPointer?) -> Void = { mode, context in
    let record = Unmanaged<HookRecord>.fromOpaque(context!).takeUnretainedValue()
    record.calls.append(
      Call(
        mode: mode, phase: tri_cycle_phase(record.heap), sweepIsRunning: tri_testing_sweep_is_running(record.heap),
        barrierIsOn: record.mutator.map { tri_testing_barrier_is_on($0) } ?? false))
    if record.removesItself { record.remove() }
  }

  func add(flags: UInt32 = 0) {
    #expect(tri_hook_add(heap, HookRecord.function, Unmanaged.passUnretained(self).toOpaque(), flags) == .ok)
  }
  func remove() {
    #expect(tri_hook_remove(heap, HookRecord.function, Unmanaged.passUnretained(self).toOpaque()) == .ok)
  }
}

/// Five hooks that record their order.
final class OrderRecord: @unchecked Sendable {
  final class Place {
    let number: Int
    unowned let record: OrderRecord
    init(_ number: Int, _ record: OrderRecord) {
      self.number = number
      self.record = record
    }
  }
  var called: [Int] = []
  private var places: [Place] = []

  private static let function: @convention(c) (tri_mode, UnsafeMutableRawPointer?) -> Void = { _, context in
    let place = Unmanaged<Place>.fromOpaque(context!).takeUnretainedValue()
    place.record.called.append(place.number)
  }

  func add(_ heap: TestHeap) {
    heap.keep(self)
    for number in 0..<5 {
      places.append(Place(number, self))
      let context = Unmanaged.passUnretained(places[number]).toOpaque()
      #expect(tri_hook_add(heap.heap, OrderRecord.function, context, 0) == .ok)
    }
  }
  func remove(_ heap: TestHeap) {
    for place in places {
      let context = Unmanaged.passUnretained(place).toOpaque()
      #expect(tri_hook_remove(heap.heap, OrderRecord.function, context) == .ok)
    }
  }
}

/// Another attached thread, in a blocking region until told to end.
final class BlockedThread: @unchecked Sendable {
  private let done = Flag(), ready = Flag()
  private var thread: TestThread?
  private(set) var mutator: MutatorPointer!

  init(_ heap: TestHeap) {
    thread = TestThread { [self] in
      try! heap.attached { mutator in
        self.mutator = mutator.pointer
        tri_blocking_begin(mutator.pointer)
        ready.set()
        while !done.isSet { usleep(500) }
        tri_blocking_end(mutator.pointer)
      }
    }
    #expect(ready.wait())
  }

  func end() {
    done.set()
    thread?.join()
    thread = nil
  }
}

/// What another thread found.
final class Results: @unchecked Sendable {
  private(set) var all: [UInt] = []
  func add(_ more: [UInt]) { all += more }
}
