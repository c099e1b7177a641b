// S10 to S17; S1 to S9 are in SemanticsTests.swift.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@testable import TricolorCore

extension SemanticsTests {
  // MARK: S10

  @Test(
    "S10: every cycle is checked by a second mark when asked for", arguments: [tri_barrier_policy.hybrid, .dijkstra])
  func s10(_ policy: tri_barrier_policy) throws {
    let heap = try TestHeap { $0.barrier = policy }
    try heap.attached { mutator in
      mutator.root(mutator.list(2000).pointee)
      for round in 1...6 {
        heap.collect(SemanticsTests.modes[round % 3])
        #expect(heap.statistics.checkmarks == UInt64(round))
      }
      #expect(heap.statistics.checkmark_conservative_misses == 0)
    }
    let unchecked = try TestHeap { $0.checkmark = 0 }
    unchecked.collect()
    #expect(unchecked.statistics.checkmarks == 0)
  }

  @Test("S10: an object that marking missed is fatal: object, referrer and slot are printed")
  func s10Miss() async {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent, \.standardOutputContent]
    ) {
      let heap = try TestHeap()
      try heap.attached { mutator in
        let referrer = mutator.node(8)
        let missed = mutator.leaf(16)
        mutator.root(referrer)
        mutator.store(missed, in: referrer, at: 5)
        Seen.heap = heap.heap
        Seen.object = missed
        print("object 0x\(String(address(missed), radix: 16)), object 0x\(String(address(referrer), radix: 16))")
        fflush(nil)
        tri_testing_set_step_hook { point in
          if point == .markingComplete { tri_testing_unmark(Seen.heap, Seen.object) }
        }
        heap.collector.gc(.background)
      }
    }
    let said = text(result)
    let names = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self).split(separator: "\n")
      .first { $0.hasPrefix("object 0x") }?.split(separator: ",")
    let object = names?[0] ?? "no object"
    let referrer = names?[1].dropFirst() ?? "no referrer"
    #expect(said.contains("checkmark: \(object) was missed"))
    #expect(said.contains(referrer))
    #expect(said.contains("slot"), "DESIGN S10 asks for the slot as well")
  }

  @Test("S10: a root that marking missed is fatal")
  func s10MissedRoot() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      try heap.attached { mutator in
        Seen.heap = heap.heap
        Seen.object = mutator.leaf(16)
        mutator.root(Seen.object)
        tri_testing_set_step_hook { point in
          if point == .markingComplete { tri_testing_unmark(Seen.heap, Seen.object) }
        }
        heap.collector.gc(.background)
      }
    }
    let said = text(result)
    #expect(said.contains("was missed; a root refers to it"))
  }

  @Test("S10: what only a stale conservative word reaches is counted, not fatal")
  func s10Conservative() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let heap = try TestHeap { $0.verify = 0 }
      let word = Slot.allocate(capacity: 1)
      word.initialize(to: nil)
      try heap.attached { mutator in
        #expect(tri_root_add_range(heap.heap, word, 1, UInt32(TRI_ROOT_CONSERVATIVE)) == .ok)
        let white = mutator.node()
        let cycle = HandCycle(heap)
        cycle.begin()
        cycle.scan()
        cycle.mark()
        word.pointee = white  // past the barrier, as a spilled register would be
        cycle.finish()
        #expect(heap.statistics.checkmarks == 1)
        #expect(heap.statistics.checkmark_conservative_misses == 1)
        word.pointee = nil
      }
    }
    let said = text(result)
    #expect(said.contains("1 objects are reached only through stale conservative words"))
  }

  // MARK: S11

  @Test("S11: trace level 1 prints one line per cycle")
  func s11() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let heap = try TestHeap { $0.trace = 1 }
      try heap.attached { mutator in
        mutator.root(mutator.list(321).pointee)
        for mode in [Mode.background, .force, .forceBlock] { heap.collect(mode) }
      }
    }
    let said = lines(result).filter { $0.contains("gc ") }
    #expect(said.count == 3)
    for (line, (number, mode)) in zip(said, [(1, "background"), (2, "force"), (3, "forceBlock")]) {
      #expect(line.hasPrefix("tricolor: gc \(number) \(mode): "))
      #expect(line.contains("marked 321 objects"))
      #expect(line.contains("pause") && line.contains("goal") && line.contains("live"))
    }
  }

  @Test("S11: a quiet heap prints nothing")
  func s11Quiet() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      for mode in [Mode.background, .force, .forceBlock] { heap.collect(mode) }
    }
    let said = text(result)
    #expect(said == "")
  }

  @Test("S11: level 2 runs a whole second mark and sweep in the same pause", arguments: [UInt32(0), 1, 2])
  func s11Second(_ mode: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32] in
      let heap = try TestHeap { $0.trace = 2 }
      try heap.attached { mutator in
        mutator.root(mutator.list(1000).pointee)
        for _ in 0..<1000 { _ = mutator.leaf(100) }
        tri_testing_set_step_hook { Seen.points.append($0) }
        heap.collector.gc(Mode(rawValue: mode)!)
        tri_testing_set_step_hook(nil)
        #expect(eventually { !tri_testing_sweep_is_running(heap.heap) })
        // One stop around the end of both marks; the first sweep happens inside it.
        let points = Seen.points
        let complete = points.indices.filter { points[$0] == .markingComplete }
        let firstComplete = try #require(complete.first)
        let lastComplete = try #require(complete.last)
        let between = points[firstComplete...lastComplete]
        #expect(between.contains(.sweepUnit) && between.contains(.scanStack) && between.contains(.markBatch))
        #expect(!between.contains(.started) && !between.contains(.stopped))
        #expect(heap.statistics.checkmarks == 2)
        #expect(heap.statistics.cycles == 1)
        #expect(heap.statistics.live_objects == 1000)
        #expect(heap.liveObjects(after: .forceBlock) == 1000)
      }
    }
  }

  @Test("S11: what the second pass marks is not counted twice")
  func s11Counts() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let heap = try TestHeap { $0.trace = 2 }
      try heap.attached { mutator in
        mutator.root(mutator.list(1000).pointee)
        heap.collect()
        #expect(heap.statistics.marked_objects_at_last_cycle == 1000)
      }
    }
    let said = text(result)
    #expect(said.contains("marked 1000 objects"))
  }

  // MARK: S12

  @Test("S12: the heap may grow while marking; what is new is black and is not scanned")
  func s12Marking() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let table = mutator.node(200)
      mutator.root(table)
      let cycle = HandCycle(heap)
      for round in 0..<2 {
        cycle.begin()
        if round == 1 { cycle.scan() }
        // Beyond the 64 MiB that were committed when the snapshot was taken.
        for index in 0..<80 {
          let object = mutator.node((1 << 20) / 8)
          mutator.store(mutator.node(), in: object, at: 77)
          mutator.store(object, in: table, at: index)
          #expect(tri_testing_is_marked(heap.heap, object))
          let small = mutator.node(500)
          mutator.store(small, in: table, at: 100 + index)
          #expect(tri_testing_is_marked(heap.heap, small))
        }
        if round == 0 { cycle.scan() }
        cycle.mark()
        cycle.finish()
        #expect(heap.statistics.live_objects == 1 + 80 * 3)
        tri_clear(mutator.pointer, table, table, 200)
      }
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("S12: the heap may grow between the stop and the end of the sweep; what is new is not swept")
  func s12Sweeping() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<5000 { _ = mutator.leaf(1000) }
      let cycle = HandCycle(heap)
      cycle.forceToTermination()
      cycle.leaveTermination()
      let large = (0..<80).map { _ in mutator.leaf(1 << 20) }
      let small = (0..<5000).map { _ in mutator.leaf(320) }
      tri_cycle_sweep_all(heap.heap)
      tri_cycle_end(heap.heap)
      #expect(large.allSatisfy { tri_testing_is_allocated(heap.heap, $0) })
      #expect(small.allSatisfy { tri_testing_is_allocated(heap.heap, $0) })
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: S13

  @Test("S13: several workers mark a graph exactly once", arguments: [2, 4, 8], SemanticsTests.modes)
  func s13(_ workers: UInt32, _ mode: Mode) throws {
    let heap = try TestHeap {
      $0.mark_workers = workers
      $0.verify = 0
    }
    try heap.attached { mutator in
      // A random graph of 100000 nodes, all reachable from a table.
      let count = 100_000
      let table = mutator.node(count)
      mutator.root(table)
      for index in 0..<count { mutator.store(mutator.node(4), in: table, at: index) }
      var random = Random(13)
      for index in 0..<count {
        let node = reference(table, at: index)!
        for word in 0..<4 { mutator.store(reference(table, at: random.below(count)), in: node, at: word) }
      }
      for _ in 0..<3 {
        #expect(heap.liveObjects(after: mode) == UInt64(count) + 1)
        #expect(heap.statistics.marked_objects_at_last_cycle == UInt64(count) + 1)
      }
    }
  }

  @Test("S13: idle workers get work")
  func s13Threads() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.mark_workers = 2 }
      try heap.attached { mutator in
        let table = mutator.node(200_000)
        mutator.root(table)
        for index in 0..<200_000 { mutator.store(mutator.node(2), in: table, at: index) }
        Seen.mainThread = pthread_self()
        tri_testing_set_step_hook { point in
          if point != .markBatch { return }
          if pthread_equal(pthread_self(), Seen.mainThread) == 0 {
            Seen.progressed.add()
          } else if Seen.count.add() > 1000 && Seen.progressed.count == 0 {
            usleep(1000)
          }
        }
        heap.collector.gc(.forceBlock)
        tri_testing_set_step_hook(nil)
        #expect(Seen.progressed.count > 0)
        #expect(heap.statistics.marked_objects_at_last_cycle == 200_001)
      }
    }
  }

  @Test("S13: work left over at the end of mark termination is fatal")
  func s13Leftover() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try TestHeap()
      HandCycle(heap).forceToTermination()
      tri_testing_break(heap.heap, .leftoverGrey)
      tri_cycle_assert_marking_complete(heap.heap)
    }
    let said = text(result)
    #expect(said.contains("phase markTermination: marking ends with 1 chunks of grey objects"))
  }

  // MARK: S14

  @Test("S14: mutators take small objects from caches of their own")
  func s14Small() throws {
    let heap = try TestHeap()
    let others = Results()
    try heap.attached { mutator in
      let first = mutator.leaf(64)
      tri_blocking_begin(mutator.pointer)
      TestThread { try! heap.attached { other in others.add((0..<64).map { _ in address(other.leaf(64)) }) } }.join()
      tri_blocking_end(mutator.pointer)
      let own = (0..<60).map { _ in address(mutator.leaf(64)) }
      // The rest of the window this thread had loaded; nobody else got any of it.
      #expect(own.allSatisfy { $0 > address(first) && $0 < address(first) + 64 * 64 })
      #expect(Set(own).isDisjoint(with: others.all) && Set(others.all).count == 64)
    }
  }

  @Test("S14: objects over 32 KiB come straight from the heap, in whole pages of their own")
  func s14Large() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      _ = mutator.leaf(32_768)
      let spans = heap.statistics.spans
      let objects = (0..<5).map { _ in mutator.leaf(32_769) }
      #expect(heap.statistics.spans == spans + 5)
      #expect(objects.allSatisfy { address($0) % 8192 == 0 })
    }
  }

  @Test("S14: size 0 is one shared address; freeing and rooting it mean nothing")
  func s14Empty() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let empty = tri_alloc(mutator.pointer, heap.references, 0)
      #expect(empty == tri_empty_object())
      tri_free(mutator.pointer, empty)
      let handle = tri_handle_make(mutator.pointer, empty)!
      mutator.root(empty)
      #expect(heap.liveObjects() == 0)
      #expect(tri_handle_get(handle) == empty)
      tri_handle_free(mutator.pointer, handle)
    }
  }

  // MARK: S15

  @Test("S15: allocation sweeps what it needs, before the heap grows")
  func s15Allocation() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<20_000 { _ = mutator.leaf(1000) }
      let mapped = heap.statistics.mapped_bytes
      HandCycle(heap).forceWithoutSweeping()
      #expect(tri_testing_sweep_is_running(heap.heap))
      for _ in 0..<19_000 { _ = mutator.leaf(1000) }
      #expect(!tri_testing_sweep_is_running(heap.heap))
      #expect(heap.statistics.mapped_bytes == mapped)
      // Large objects sweep until there are pages for them.
      HandCycle(heap).forceWithoutSweeping()
      _ = mutator.leaf(10 << 20)
      #expect(heap.statistics.mapped_bytes <= mapped)
    }
  }

  @Test("S15: a span is swept once in a generation: objects born after the stop survive the sweep")
  func s15Generations() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<5000 { _ = mutator.leaf(64) }
      HandCycle(heap).forceWithoutSweeping()
      // Partly in spans that allocation itself has just swept.
      let born = (0..<5000).map { _ in mutator.leaf(64) }
      tri_cycle_begin(heap.heap, .force)
      tri_cycle_finish_sweep(heap.heap)
      tri_cycle_end(heap.heap)
      #expect(born.allSatisfy { tri_testing_is_allocated(heap.heap, $0) })
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("S15: the background sweeper finishes without anyone's help")
  func s15Background() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<20_000 { _ = mutator.leaf(1000) }
      heap.collector.gc(.force)
      #expect(eventually { !tri_testing_sweep_is_running(heap.heap) })
      #expect(heap.statistics.live_bytes == 0)
    }
  }

  @Test("S15: forceBlock leaves nothing to sweep")
  func s15Eager() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<5 {
        for _ in 0..<5000 { _ = mutator.leaf(1000) }
        heap.collector.gc(.forceBlock)
        #expect(!tri_testing_sweep_is_running(heap.heap))
        #expect(heap.statistics.live_bytes == 0)
      }
    }
  }

  // MARK: S16

  @Test("S16: times, pauses, counts and the next trigger are kept and readable")
  func s16() throws {
    let heap = try TestHeap { $0.growth_percent = 100 }
    try heap.attached { mutator in
      let fresh = heap.statistics
      #expect(fresh.cycles == 0 && fresh.live_objects == 0 && fresh.pause_ns_max == 0 && fresh.phase == .off)
      #expect(fresh.mutators == 1)
      #expect(fresh.goal_bytes >= 1 && fresh.trigger_bytes >= 1)
      let kept = mutator.list(10_000)
      for _ in 0..<2000 { _ = mutator.leaf(1000) }
      for mode in [Mode.background, .force, .forceBlock, .background] {
        let before = heap.statistics
        let started = tri_monotonic_ns()
        heap.collect(mode)
        let after = heap.statistics
        let ended = tri_monotonic_ns()
        #expect(after.cycles == before.cycles + 1)
        #expect(after.cycles_forced == before.cycles_forced + (mode == .background ? 0 : 1))
        #expect((started...ended).contains(after.start_ns_at_last_cycle))
        #expect(after.mark_ns_at_last_cycle > 0 && after.mark_ns_at_last_cycle <= ended - started)
        #expect(after.termination_ns_at_last_cycle > 0 && after.termination_ns_at_last_cycle <= ended - started)
        #expect(after.sweep_ns_at_last_cycle > 0 && after.sweep_ns_at_last_cycle <= ended - started)
        #expect(after.pause_ns_at_last_cycle > 0 && after.pause_ns_at_last_cycle <= ended - started)
        #expect(after.pause_ns_max == max(before.pause_ns_max, after.pause_ns_at_last_cycle))
        #expect(after.pause_ns_total >= before.pause_ns_total + after.pause_ns_at_last_cycle)
        #expect(after.mark_ns_total > before.mark_ns_total && after.sweep_ns_total > before.sweep_ns_total)
        #expect(after.marked_objects_at_last_cycle == 10_000)
        #expect(after.live_objects == 10_000 && after.live_bytes == 160_000)
        #expect(after.allocated_since_cycle_bytes == 0)
        #expect(after.goal_bytes > after.live_bytes && after.trigger_bytes > 0)
      }
      #expect(heap.statistics.freed_bytes >= 2000 * 1000)
      #expect(heap.statistics.allocated_bytes >= 2000 * 1000 + 160_000)
      #expect(heap.statistics.mapped_bytes >= 160_000)
      #expect(heap.statistics.metadata_bytes > 0 && heap.statistics.spans > 0)
      #expect(heap.statistics.assist_ns_total == 0)
      #expect(listLength(kept.pointee) == 10_000)
    }
    #expect(heap.statistics.mutators == 0)
  }

  @Test("S16: what was allocated is alive, freed by a sweep, or freed explicitly")
  func s16Balance() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = mutator.root(nil)
      for round in 0..<5 {
        for index in 0..<1000 {
          let object = mutator.node(14)
          if index % 4 == 0 { tri_free(mutator.pointer, object) }
          if index % 4 == 1 {
            mutator.store(kept.pointee, in: object)
            kept.pointee = object
          }
        }
        heap.collect()
        let now = heap.statistics
        #expect(now.live_bytes == UInt64((round + 1) * 250 * 112))
        #expect(now.explicitly_freed_bytes == UInt64((round + 1) * 250 * 112))
        #expect(now.live_bytes + now.freed_bytes >= UInt64((round + 1) * 750 * 112))
        #expect(now.live_bytes + now.freed_bytes + now.explicitly_freed_bytes >= UInt64((round + 1) * 1000 * 112))
        #expect(now.live_bytes + now.freed_bytes <= now.allocated_bytes)
      }
    }
  }

  // MARK: S17

  @Test("S17: an allocation that crosses the trigger starts a background cycle", arguments: [1, 2])
  func s17(_ mutators: Int) throws {
    let heap = try TestHeap {
      $0.growth_percent = 100
      $0.minimum_heap_bytes = 1 << 20
    }
    let other = mutators == 2 ? BlockedThread(heap) : nil
    try heap.attached { mutator in
      let kept = mutator.list(100)
      let trigger = heap.statistics.trigger_bytes
      #expect(trigger <= 1 << 20)
      var allocated = 0
      while heap.statistics.cycles == 0 && allocated < 100 << 20 {
        _ = mutator.leaf(128)
        allocated += 128
      }
      #expect(allocated >= Int(trigger))
      #expect(allocated < 100 << 20)
      #expect(heap.statistics.cycles_forced == 0)
      // However late the collector thread gets a processor.
      while heap.statistics.cycles <= 3 && allocated < 400 << 20 {
        _ = mutator.leaf(128)
        allocated += 128
      }
      #expect(heap.statistics.cycles > 3)
      #expect(heap.statistics.cycles_forced == 0)
      #expect(listLength(kept.pointee) == 100)
    }
    other?.end()
  }

  @Test("S17: below the trigger, and with growth off, no cycle starts by itself")
  func s17Off() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<200_000 { _ = mutator.leaf(128) }
      #expect(heap.statistics.cycles == 0)
      #expect(heap.collector.setGrowthPercent(100))
      for _ in 0..<100_000 { _ = mutator.leaf(128) }
      #expect(eventually { heap.statistics.cycles > 0 })
      #expect(!heap.collector.setGrowthPercent(24) && !heap.collector.setGrowthPercent(100_001))
    }
  }

  @Test("S17: an allocating thread helps to mark while a cycle is under way")
  func s17Assist() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap {
        $0.growth_percent = 50
        $0.minimum_heap_bytes = 1 << 20
        $0.generations = .off  // minor cycles are over before anyone could help
        $0.verify = 0
        $0.checkmark = 0
      }
      tri_testing_set_step_hook { point in
        if point == .assist { Seen.count.add() }
      }
      try heap.attached { mutator in
        let kept = mutator.list(300_000)
        heap.collect()
        // Wherever the scheduler puts the collector thread, some cycle is met in the middle.
        for _ in 0..<200 where heap.statistics.assist_ns_total == 0 {
          for _ in 0..<20_000 { _ = mutator.node(16) }
        }
        #expect(Seen.count.count > 0)
        #expect(heap.statistics.assist_ns_total > 0)
        #expect(listLength(kept.pointee) == 300_000)
      }
    }
  }
}
