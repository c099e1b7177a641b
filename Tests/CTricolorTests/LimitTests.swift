// LimitTests: soft and hard limits, external bytes, and the events they cause.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let mib: UInt64 = 1 << 20
private let exceeded = UInt32(TRI_EVENT_HEAP_LIMIT_EXCEEDED)
private let recovered = UInt32(TRI_EVENT_HEAP_LIMIT_RECOVERED)

@Suite struct LimitTests {
  /// Waits for something that the collector does, and lets it.
  private func polling(_ mutator: TestMutator, _ condition: () -> Bool) -> Bool {
    eventually {
      tri_safepoint(mutator.pointer)
      return condition()
    }
  }

  // MARK: Soft

  @Test("near a soft limit the goal leaves room for the collector's tables and for external bytes")
  func softGoal() throws {
    let heap = try TestHeap {
      $0.growth_percent = 100
      $0.periodic_cycle_ms = 0
    }
    try heap.attached { mutator in
      let kept = mutator.list(400_000)
      heap.collect()
      let before = heap.statistics
      #expect(before.goal_bytes >= 2 * before.live_bytes)
      let soft = before.live_bytes + before.metadata_bytes + 3 * mib
      #expect(heap.collector.setLimits(soft: soft, hard: 0) == .ok)
      #expect(heap.statistics.goal_bytes == before.live_bytes + 3 * mib)
      #expect(heap.statistics.trigger_bytes < 3 * mib)
      tri_heap_external_bytes_add(heap.heap, Int64(mib))
      heap.collect()
      #expect(heap.statistics.goal_bytes + heap.statistics.metadata_bytes + mib <= soft)
      #expect(heap.statistics.goal_bytes >= before.live_bytes)
      tri_heap_external_bytes_add(heap.heap, -Int64(mib))
      #expect(heap.collector.setLimits(soft: .max, hard: 0) == .ok)
      heap.collect()
      #expect(heap.statistics.goal_bytes == before.goal_bytes && heap.statistics.soft_limit_bytes == 0)
      #expect(listLength(kept.pointee) == 400_000)
    }
  }

  @Test("a soft limit starts cycles although growth is off")
  func softWithoutGrowth() throws {
    let heap = try TestHeap { $0.soft_limit_bytes = 24 << 20 }
    try heap.attached { mutator in
      for _ in 0..<(64 * mib) / 128 { _ = mutator.leaf(128) }
      #expect(eventually { heap.statistics.cycles > 0 })
    }
  }

  @Test("a limit below what is alive is accepted: the event comes, nothing fails, and recovery is told")
  func softBelowLive() throws {
    let heap = try TestHeap { $0.growth_percent = 100 }
    let log = heap.events()
    try heap.attached { mutator in
      let kept = mutator.list(200_000)
      heap.collect()
      #expect(log.kinds == [])
      #expect(heap.collector.setLimits(soft: mib, hard: 0) == .ok)
      #expect(log.kinds == [exceeded] && heap.statistics.limit_exceeded == 1)
      #expect(log.all[0].limit_bytes == mib && log.all[0].held_bytes >= 200_000 * 16)
      for _ in 0..<20_000 { _ = mutator.leaf(64) }
      #expect(listLength(kept.pointee) == 200_000)
      heap.collect()
      #expect(log.kinds == [exceeded], "once for each excursion")
      kept.pointee = nil
      #expect(heap.collector.setLimits(soft: 64 * mib, hard: 0) == .ok)
      #expect(log.kinds == [exceeded, recovered] && heap.statistics.limit_exceeded == 0)
      #expect(heap.collector.setLimits(soft: 1, hard: 0) == .ok)
      #expect(log.kinds == [exceeded, recovered, exceeded])
    }
  }

  @Test("a soft limit above the hard one is refused, and nothing changes")
  func badLimits() throws {
    let heap = try TestHeap { $0.limit_bytes = 50 * mib }
    #expect(tri_limits_set_locked(heap.heap, 30 * mib, 20 * mib) == .badOptions)
    #expect(heap.collector.setLimits(soft: 30 * mib, hard: 20 * mib) == .badOptions)
    #expect(heap.statistics.limit_bytes == 50 * mib)
    #expect(heap.collector.setLimits(soft: 20 * mib, hard: 20 * mib) == .ok)
    #expect(heap.statistics.limit_bytes == 20 * mib && heap.statistics.soft_limit_bytes == 20 * mib)
  }

  @Test("a slow leak under a soft limit ends with the event, and allocation goes on")
  func softLeak() async {
    await #expect(processExitsWith: .success) {
      let limit = 32 * mib
      let heap = try TestHeap {
        $0.growth_percent = 100
        $0.verify = 0
        $0.checkmark = 0
        $0.generations = .automatic
        $0.soft_limit_bytes = limit
      }
      let log = heap.events()
      try heap.attached { mutator in
        let head = mutator.root(nil)
        var kept = 0
        while log.all.isEmpty && kept < 1_000_000 {
          for step in 0..<64 {
            let node = mutator.node(16)
            if step > 0 { continue }
            mutator.store(head.pointee, in: node)
            head.pointee = node
            kept += 1
          }
        }
        #expect(log.kinds == [exceeded])
        let live = UInt64(kept) * 128
        // Not before half of the time is needed to stay below: that depends on what marking costs, and no moment of it
        // on when the collector is given a processor.
        #expect(live > limit / 2, "\(live)")
        // Told by the first cycle that finds more than the limit, at the latest; they are not far apart there.
        #expect(live < limit + limit / 8, "\(live)")
        #expect(heap.statistics.mapped_bytes < limit + limit / 2, "\(heap.statistics.mapped_bytes)")
        for _ in 0..<10_000 { _ = mutator.node(16) }
        #expect(listLength(head.pointee) == kept)
        head.pointee = nil
        heap.collect()
        #expect(log.kinds == [exceeded, recovered])
      }
    }
  }

  private enum Line {
    nonisolated(unsafe) static var main = pthread_self()
    nonisolated(unsafe) static var holds = 0
    nonisolated(unsafe) static var enough = 50
    nonisolated(unsafe) static var isOver = false
    nonisolated(unsafe) static var batches = 0
    static var isMain: Bool { pthread_equal(pthread_self(), main) != 0 }
  }

  @Test("while the collector gets no processor, a thread that allocates waits at the limit before each refill")
  func line() async {
    await #expect(processExitsWith: .success) {
      let limit = 16 * mib
      let heap = try TestHeap {
        $0.growth_percent = 100
        $0.minimum_heap_bytes = 1 << 20
        $0.generations = .off
        $0.verify = 0
        $0.checkmark = 0
        $0.soft_limit_bytes = limit
      }
      try heap.attached { mutator in
        let kept = mutator.list(200_000)
        heap.collect()
        Line.main = pthread_self()
        tri_testing_set_step_hook { point in
          if point == .markBatch && !Line.isMain { while !Line.isOver { usleep(100) } }
          if point != .hold || !Line.isMain { return }
          Line.holds += 1
          Line.isOver = Line.holds >= Line.enough
        }
        for _ in 0..<2_000_000 where !Line.isOver { _ = mutator.leaf(128) }
        #expect(Line.holds == Line.enough, "it waited \(Line.holds) times")
        // 64 slots between two waits, and what was not accounted yet.
        let most = limit + UInt64(Line.enough) * 64 * 128 + 2 * mib
        #expect(heap.statistics.mapped_bytes <= most, "\(heap.statistics.mapped_bytes)")
        for _ in 0..<100_000 { _ = mutator.leaf(128) }
        #expect(listLength(kept.pointee) == 200_000)
        tri_testing_set_step_hook(nil)
      }
    }
  }

  @Test("near a limit an allocating thread gets its part of what a slow collector holds")
  func hoarding() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap {
        $0.growth_percent = 100
        $0.minimum_heap_bytes = 1 << 20
        $0.generations = .off
        $0.verify = 0
        $0.checkmark = 0
        $0.soft_limit_bytes = 16 * mib
      }
      try heap.attached { mutator in
        // One root: whoever scans it has everything.
        let all = mutator.root(mutator.object(heap.references, 100_000 * 8))
        for index in 0..<100_000 { mutator.store(mutator.node(), in: all.pointee!, at: index) }
        heap.collect()
        Line.main = pthread_self()
        tri_testing_set_step_hook { point in
          if point != .markBatch || Line.isOver { return }
          if !Line.isMain {
            usleep(1000)
            return
          }
          Line.batches += 1
          Line.isOver = Line.batches >= 20
        }
        for _ in 0..<4_000_000 where !Line.isOver { _ = mutator.leaf(128) }
        Line.isOver = true
        #expect(Line.batches >= 20, "\(Line.batches)")
        tri_testing_set_step_hook(nil)
      }
    }
  }

  // MARK: Hard

  @Test("at the hard limit allocation fails, the event comes once, and room ends it")
  func hard() throws {
    let heap = try TestHeap {
      $0.limit_bytes = 8 << 20
      $0.verify = 0
      $0.checkmark = 0
    }
    let log = heap.events()
    try heap.attached { mutator in
      let head = mutator.root(nil)
      for _ in 0..<2 {
        while let object = tri_alloc(mutator.pointer, heap.references, 128) {
          mutator.store(head.pointee, in: object)
          head.pointee = object
        }
        #expect(log.kinds.last == exceeded && log.all.last?.limit_bytes == 8 * mib)
        let told = log.all.count
        for _ in 0..<5 { #expect(mutator.allocate(heap.references, 128).status == .limitReached) }
        #expect(log.all.count == told)
        head.pointee = nil
        #expect(mutator.allocate(heap.references, 128).status == .ok, "what was dropped is found at once")
        heap.collect()
        #expect(log.kinds.last == recovered)
      }
      #expect(log.kinds == [exceeded, recovered, exceeded, recovered])
    }
  }

  @Test("allocations that fail do not collect again and again")
  func noSpiral() throws {
    let heap = try TestHeap {
      $0.limit_bytes = 32 << 20
      $0.verify = 0
      $0.checkmark = 0
    }
    try heap.attached { mutator in
      let head = mutator.root(nil)
      while let object = tri_alloc(mutator.pointer, heap.references, 32) {
        mutator.store(head.pointee, in: object)
        head.pointee = object
      }
      let before = heap.statistics.cycles_forced
      let count = 20_000
      for _ in 0..<count { #expect(tri_alloc(mutator.pointer, heap.references, 32) == nil) }
      let forced = heap.statistics.cycles_forced - before
      #expect(forced >= 7, "the first few are tried: \(forced)")
      #expect(forced < UInt64(count) / 4, "\(forced)")
      head.pointee = nil
      heap.collect()
      #expect(tri_alloc(mutator.pointer, heap.references, 32) != nil)
    }
  }

  @Test("a hard limit can be changed while the heap is used")
  func changing() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = mutator.list(200_000)
      #expect(heap.collector.setLimits(soft: 0, hard: mib) == .ok)
      #expect(mutator.allocate(heap.leaf, 100_000).status == .limitReached)
      #expect(heap.collector.setLimits(soft: 0, hard: 64 * mib) == .ok)
      #expect(mutator.allocate(heap.leaf, 100_000).status == .ok)
      #expect(listLength(kept.pointee) == 200_000)
    }
  }

  // MARK: External bytes

  @Test("external bytes move the trigger, and start a cycle when they cross it")
  func external() throws {
    let heap = try TestHeap { $0.growth_percent = 100 }
    try heap.attached { mutator in
      let kept = mutator.list(100_000)
      heap.collect()
      let trigger = heap.statistics.trigger_bytes
      tri_external_bytes_add(mutator.pointer, 1 << 20)
      #expect(heap.statistics.trigger_bytes == trigger - mib && heap.statistics.external_bytes == mib)
      tri_heap_external_bytes_add(heap.heap, -1 << 20)
      #expect(heap.statistics.trigger_bytes == trigger && heap.statistics.external_bytes == 0)
      let cycles = heap.statistics.cycles
      tri_external_bytes_add(mutator.pointer, Int64(4 * trigger))
      #expect(polling(mutator) { heap.statistics.cycles > cycles })
      heap.collect()
      // What is alive outside grows the runway as what is alive inside does.
      #expect(heap.statistics.trigger_bytes > 3 * trigger)
      tri_external_bytes_add(mutator.pointer, -Int64(4 * trigger))
      #expect(listLength(kept.pointee) == 100_000)
    }
  }

  @Test("external bytes that destroy callbacks free stay within the goal")
  func externalDestroyed() throws {
    let heap = try TestHeap {
      $0.growth_percent = 100
      $0.verify = 0
      $0.checkmark = 0
    }
    let layout = try heap.layout {
      $0.form = .leaf
      $0.context = UnsafeMutableRawPointer(heap.heap)
      $0.destroy = { _, _, heap in tri_heap_external_bytes_add(OpaquePointer(heap!), -(1 << 20)) }
    }
    try heap.attached { mutator in
      var most: UInt64 = 0
      for _ in 0..<2000 {
        _ = mutator.object(layout, 64)
        tri_external_bytes_add(mutator.pointer, 1 << 20)
        most = max(most, heap.statistics.external_bytes)
        // Until the collector has had its turn: this is about bytes, not about who is faster.
        if most > 64 * mib { heap.collect() }
      }
      #expect(heap.statistics.cycles > 10)
      #expect(most < 128 * mib, "\(most / mib)")
      heap.collect()
      heap.collect()
      #expect(heap.statistics.external_bytes <= 64 * mib)
    }
  }

  @Test("external bytes count towards the hard limit")
  func externalHard() throws {
    let heap = try TestHeap { $0.limit_bytes = 16 << 20 }
    try heap.attached { mutator in
      #expect(mutator.allocate(heap.leaf, 1 << 20).status == .ok)
      tri_external_bytes_add(mutator.pointer, 20 << 20)
      #expect(mutator.allocate(heap.leaf, 1 << 20).status == .limitReached)
      tri_external_bytes_add(mutator.pointer, -10 << 20)
      #expect(mutator.allocate(heap.leaf, 1 << 20).status == .ok)
      tri_external_bytes_add(mutator.pointer, -10 << 20)
    }
  }

  // MARK: Events

  @Test("a handler may take long: others allocate and collect meanwhile")
  func slowHandler() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.growth_percent = 100 }
      tri_events_set(
        heap.heap,
        { _, _ in
          Seen.flag.set()
          while Seen.count.count == 0 { usleep(1000) }
        }, nil)
      let other = TestThread {
        _ = Seen.flag.wait()
        try! heap.attached { mutator in
          for _ in 0..<10_000 { _ = mutator.leaf(64) }
          heap.collect()
        }
        Seen.count.add()
      }
      try heap.attached { mutator in
        let kept = mutator.list(100_000)
        #expect(heap.collector.setLimits(soft: 1, hard: 0) == .ok)
        #expect(Seen.count.count == 1)
        #expect(listLength(kept.pointee) == 100_000)
      }
      other.join()
    }
  }

  @Test("without a handler events are not kept for one that comes later")
  func noHandler() throws {
    let heap = try TestHeap()
    #expect(heap.collector.setLimits(soft: 1, hard: 0) == .ok)
    #expect(heap.statistics.limit_exceeded == 1)
    let log = heap.events()
    heap.collect()
    #expect(log.kinds == [])
    tri_events_set(heap.heap, nil, nil)
    #expect(heap.collector.setLimits(soft: .max, hard: 0) == .ok)
    #expect(log.kinds == [] && heap.statistics.limit_exceeded == 0)
  }

  // MARK: Periodic cycles

  @Test("a cycle runs when none did for a while and something was allocated; then the heap sleeps")
  func periodic() throws {
    let heap = try TestHeap {
      $0.periodic_cycle_ms = 20
      $0.minimum_heap_bytes = 1 << 20
    }
    try heap.attached { mutator in
      let kept = mutator.list(1000)
      for _ in 0..<3 {
        let ran = heap.statistics.cycles_periodic
        // The first cycle starts the clock; later what is allocated wakes it.
        if ran == 0 { heap.collect() }
        for _ in 0..<20_000 { _ = mutator.leaf(128) }
        #expect(polling(mutator) { heap.statistics.cycles_periodic > ran })
        #expect(polling(mutator) { heap.statistics.phase == .off })
        let cycles = heap.statistics.cycles_periodic
        tri_blocking_begin(mutator.pointer)
        pause(milliseconds: 120)
        tri_blocking_end(mutator.pointer)
        // The windows that the last cycle dropped are accounted with the next refill: at most one more.
        #expect(heap.statistics.cycles_periodic <= cycles + 1)
      }
      #expect(listLength(kept.pointee) == 1000)
    }
  }

  @Test("no period, no cycle by the clock")
  func noPeriod() throws {
    let heap = try TestHeap { $0.periodic_cycle_ms = 0 }
    try heap.attached { mutator in
      heap.collect()
      for _ in 0..<20_000 { _ = mutator.leaf(128) }
      pause(milliseconds: 60)
      #expect(heap.statistics.cycles == 1 && heap.statistics.cycles_periodic == 0)
    }
  }

  // MARK: Assists

  private enum Slow {
    nonisolated(unsafe) static var isAssisting = false
    nonisolated(unsafe) static var batches = 0
    nonisolated(unsafe) static var mostBatches = 0
    nonisolated(unsafe) static var assists = 0
    nonisolated(unsafe) static var isOver = false
  }

  @Test("however slow marking is, one allocation marks for its time and no longer")
  func assistCap() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap {
        $0.growth_percent = 50
        $0.minimum_heap_bytes = 1 << 20
        $0.generations = .off
        $0.verify = 0
        $0.checkmark = 0
        $0.assist_ns_max = 2_000_000
      }
      try heap.attached { mutator in
        // More than two chunks of roots, so that the collector does not hold all there is to scan.
        for _ in 0..<2000 {
          let array = mutator.root(mutator.object(heap.references, 60 * 8))
          for index in 0..<60 { mutator.store(mutator.node(), in: array.pointee!, at: index) }
        }
        heap.collect()
        Seen.mainThread = pthread_self()
        tri_testing_set_step_hook { point in
          if Slow.isOver { return }
          let isMain = pthread_equal(pthread_self(), Seen.mainThread) != 0
          if point == .markBatch { usleep(1000) }
          guard isMain else { return }
          if point == .assist {
            Slow.assists += 1
            Slow.isAssisting = true
            Slow.batches = 0
            Slow.isOver = Slow.assists > 10
          } else if point == .markBatch && Slow.isAssisting {
            Slow.batches += 1
            Slow.mostBatches = max(Slow.mostBatches, Slow.batches)
          } else {
            Slow.isAssisting = false
          }
        }
        for _ in 0..<400_000 where !Slow.isOver { _ = mutator.node(16) }
        #expect(Slow.assists > 10)
        // A portion of 64 objects is five or six batches of at least a millisecond each; then the time is up.
        #expect(Slow.mostBatches > 0 && Slow.mostBatches <= 8, "\(Slow.mostBatches)")
        #expect(heap.statistics.assist_ns_max > 0)
      }
    }
  }
}
