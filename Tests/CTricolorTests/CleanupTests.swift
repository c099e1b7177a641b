// CleanupTests: a cleanup runs once after its object has ended: found by a sweep, freed, or with its heap.

import CTricolor
import CTricolor.Testing
import Glibc
import Synchronization
import Testing
import TricolorCore

/// Counts what cleanups do; handed to C as their context.
final class Tally: Sendable {
  let runs = Atomic(0)
  let mayGoOn = Atomic(false)
  let began = Atomic(false)
  var count: Int { runs.load(ordering: .sequentiallyConsistent) }
  var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }
  static func of(_ context: UnsafeMutableRawPointer?) -> Tally {
    Unmanaged<Tally>.fromOpaque(context!).takeUnretainedValue()
  }
}

typealias CleanupFunction = @convention(c) (UnsafeMutableRawPointer?) -> Void
private let count: CleanupFunction = { Tally.of($0).runs.add(1, ordering: .sequentiallyConsistent) }

extension TestMutator {
  @discardableResult
  func cleanup(
    _ object: Object, _ context: UnsafeMutableRawPointer? = nil, _ function: @escaping CleanupFunction
  ) throws -> tri_cleanup {
    var cleanup = tri_cleanup()
    let status = tri_cleanup_add(pointer, object, function, context, &cleanup)
    try #require(status == .ok)
    return cleanup
  }
}

@Suite struct CleanupTests {
  private func manual(_ tally: Tally, _ change: (inout tri_options) -> Void = { _ in }) throws -> TestHeap {
    let heap = try TestHeap {
      $0.manual_cleanups = 1
      change(&$0)
    }
    heap.keep(tally)
    return heap
  }

  @Test("a cleanup runs once after its object is dead, and not before", arguments: [UInt32(0), 1, 2])
  func once(_ mode: UInt32) throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      let slot = m.root(m.node())
      try m.cleanup(slot.pointee!, tally.context, count)
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(tri_cleanups_due(heap.heap) == 0 && tri_cleanups_run(heap.heap, .max) == 0)
      slot.pointee = nil
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(tri_cleanups_due(heap.heap) == 1 && tally.count == 0)
      #expect(tri_cleanups_run(heap.heap, .max) == 1)
      heap.collect()
      #expect(tri_cleanups_run(heap.heap, .max) == 0 && tally.count == 1)
    }
    heap.close()
    #expect(tally.count == 1)
  }

  @Test("an object may have many, with many functions, and they run as often as was asked")
  func many() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      for bytes in [16, 48, 640, 32768, 100_000] {
        for _ in 0..<(bytes > 1000 ? 5 : 5000) {
          let object = m.leaf(bytes)
          for _ in 0..<3 { try m.cleanup(object, tally.context, count) }
        }
      }
      heap.collect()
      let due = 3 * (3 * 5000 + 2 * 5)
      #expect(tri_cleanups_due(heap.heap) == due)
      #expect(tri_cleanups_run(heap.heap, 100) == 100 && tally.count == 100)
      #expect(tri_cleanups_run(heap.heap, .max) == due - 100 && tally.count == due)
    }
  }

  @Test("more functions than the heap has numbers for")
  func functions() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      let kept = m.root(m.leaf(64))
      var cleanups: [tri_cleanup] = []
      for _ in 0..<3 {
        let object = m.leaf(64)
        for function in functionsByTheirNumber {
          try m.cleanup(object, tally.context, function)
          cleanups.append(try m.cleanup(kept.pointee!, tally.context, function))
        }
      }
      for cleanup in cleanups { #expect(tri_cleanup_cancel(heap.heap, cleanup)) }
      heap.collect()
      let functions = functionsByTheirNumber.count
      #expect(tri_cleanups_run(heap.heap, .max) == 3 * functions)
      #expect(tally.count == 3 * functions * (functions + 1) / 2)
    }
    heap.close()
  }

  @Test("without the option a thread of the heap's runs them", .timeLimit(.minutes(1)))
  func onThread() throws {
    let tally = Tally()
    let heap = try TestHeap()
    heap.keep(tally)
    try heap.attached { m in
      for _ in 0..<10_000 { try m.cleanup(m.leaf(32), tally.context, count) }
      heap.collect(.background)
      #expect(eventually { tally.count == 10_000 })
      for _ in 0..<100 { try m.cleanup(m.leaf(32), tally.context, count) }
      heap.collect()
      #expect(eventually { tally.count == 10_100 })
    }
  }

  @Test("one that blocks delays the others, and neither allocation nor cycles", .timeLimit(.minutes(1)))
  func blocks() throws {
    let tally = Tally()
    let heap = try TestHeap()
    heap.keep(tally)
    try heap.attached { m in
      try m.cleanup(m.leaf(32), tally.context) { context in
        Tally.of(context).began.store(true, ordering: .sequentiallyConsistent)
        while !Tally.of(context).mayGoOn.load(ordering: .sequentiallyConsistent) { usleep(100) }
      }
      heap.collect()
      #expect(eventually { tally.began.load(ordering: .sequentiallyConsistent) })
      for _ in 0..<100 { try m.cleanup(m.leaf(32), tally.context, count) }
      for _ in 0..<3 { heap.collect(.background) }
      #expect(tri_cleanups_due(heap.heap) == 100 && tally.count == 0)
      // Whoever asks can run them beside it.
      #expect(tri_cleanups_run(heap.heap, 40) == 40 && tally.count == 40)
      tally.mayGoOn.store(true, ordering: .sequentiallyConsistent)
      #expect(eventually { tally.count == 100 })
    }
  }

  @Test("a cleanup may attach and allocate, and add another")
  func uses() throws {
    final class Scene: Sendable {
      nonisolated(unsafe) let heap: OpaquePointer
      let allocated = Atomic(0)
      let second = Atomic(0)
      init(_ heap: OpaquePointer) { self.heap = heap }
    }
    let heap = try TestHeap()
    let scene = Scene(heap.heap)
    heap.keep(scene)
    try heap.attached { m in
      _ = try m.cleanup(m.leaf(32), Unmanaged.passUnretained(scene).toOpaque()) { context in
        let scene = Unmanaged<Scene>.fromOpaque(context!).takeUnretainedValue()
        var mutator: MutatorPointer?
        guard tri_attach(scene.heap, UInt32(TRI_ATTACH_PRECISE), &mutator) == .ok else { return }
        for _ in 0..<1000 where tri_alloc(mutator!, tri_layout_leaf(scene.heap), 64) != nil {
          scene.allocated.add(1, ordering: .sequentiallyConsistent)
        }
        let object = tri_alloc(mutator!, tri_layout_leaf(scene.heap), 64)!
        _ = tri_cleanup_add(
          mutator!, object,
          { Unmanaged<Scene>.fromOpaque($0!).takeUnretainedValue().second.add(1, ordering: .sequentiallyConsistent) },
          context, nil)
        _ = tri_detach(mutator!)
      }
    }
    // With the heap, while it is still whole; and so is what the cleanup adds.
    heap.close()
    #expect(scene.allocated.load(ordering: .sequentiallyConsistent) == 1000)
    #expect(scene.second.load(ordering: .sequentiallyConsistent) == 1)
  }

  @Test("an explicit free makes them due, at once and while marking", arguments: [false, true])
  func freed(_ marking: Bool) throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      let objects = (0..<200).map { _ in m.root(m.leaf(64)) }
      for slot in objects { try m.cleanup(slot.pointee!, tally.context, count) }
      let cycle = HandCycle(heap)
      if marking { cycle.begin() }
      for (index, slot) in objects.enumerated() {
        tri_free(m.pointer, slot.pointee)
        slot.pointee = nil
        #expect(tri_cleanups_due(heap.heap) == index + 1)
      }
      if marking {
        cycle.scan()
        cycle.mark()
        cycle.finish()
      }
      heap.collect()
      #expect(tri_cleanups_run(heap.heap, .max) == 200 && tally.count == 200)
    }
  }

  @Test("freed by another thread, large objects, and before their span is swept")
  func freedElsewhere() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      let small = m.root(m.leaf(64))
      let large = m.root(m.leaf(100_000))
      let unswept = m.root(m.leaf(640))
      for slot in [small, large, unswept] { try m.cleanup(slot.pointee!, tally.context, count) }
      nonisolated(unsafe) let objects = [small.pointee, large.pointee]
      nonisolated(unsafe) let raw = heap.heap
      small.pointee = nil
      large.pointee = nil
      let thread = TestThread {
        var other: MutatorPointer?
        _ = tri_attach(raw, UInt32(TRI_ATTACH_PRECISE), &other)
        for object in objects { tri_free(other!, object) }
        _ = tri_detach(other!)
      }
      tri_blocking_begin(m.pointer)
      thread.join()
      tri_blocking_end(m.pointer)
      #expect(tri_cleanups_due(heap.heap) == 2)
      HandCycle(heap).forceWithoutSweeping()
      tri_free(m.pointer, unswept.pointee)
      unswept.pointee = nil
      #expect(tri_cleanups_due(heap.heap) == 3)
      heap.collect()
      #expect(tri_cleanups_run(heap.heap, .max) == 3)
    }
  }

  @Test("a cleanup that is cancelled does not run; one that is due or gone cannot be")
  func cancel() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      let slot = m.root(m.leaf(64))
      let one = try m.cleanup(slot.pointee!, tally.context, count)
      let two = try m.cleanup(slot.pointee!, tally.context, count)
      let three = try m.cleanup(slot.pointee!, tally.context, count)
      #expect(tri_cleanup_cancel(heap.heap, two) && !tri_cleanup_cancel(heap.heap, two))
      // The record serves another: the old name does not mean it.
      let four = try m.cleanup(slot.pointee!, tally.context, count)
      #expect(!tri_cleanup_cancel(heap.heap, two))
      #expect(!tri_cleanup_cancel(heap.heap, tri_cleanup()))
      slot.pointee = nil
      HandCycle(heap).forceWithoutSweeping()
      // Dead from the stop on, swept or not.
      #expect(!tri_cleanup_cancel(heap.heap, one))
      heap.collect()
      #expect(!tri_cleanup_cancel(heap.heap, three) && !tri_cleanup_cancel(heap.heap, four))
      #expect(tri_cleanups_run(heap.heap, .max) == 3 && tally.count == 3)
    }
  }

  @Test(
    "a hundred thousand cleanups and ephemerons of one object are let go of in any order, and what they took is used again",
    .timeLimit(.minutes(1)), arguments: [false, true])
  func veryMany(_ forever: Bool) throws {
    let tally = Tally()
    let heap = try manual(tally) { $0.verify = 0 }
    try heap.attached { m in
      let slot = m.root(m.node())
      let object = forever ? tri_empty_object() : slot.pointee!
      let other = m.root(m.node()).pointee!
      var metadata: UInt64 = 0
      for round in 0..<4 {
        var cleanups: [tri_cleanup] = []
        var ephemerons: [OpaquePointer] = []
        for _ in 0..<50_000 {
          cleanups.append(try m.cleanup(object, tally.context, count))
          ephemerons.append(try m.ephemeron(object, other))
        }
        // The oldest first are those farthest down the list; then the newest first, then from the middle.
        var order = Array(0..<50_000)
        if round == 1 { order.reverse() }
        if round >= 2 { order = order.map { ($0 + 25_000) % 50_000 } }
        for (turn, index) in order.enumerated() {
          #expect(tri_cleanup_cancel(heap.heap, cleanups[index]))
          tri_ephemeron_free(heap.heap, ephemerons[index])
          if turn % 10_000 == 0 {
            #expect(!tri_cleanup_cancel(heap.heap, cleanups[index]), "cancelled already")
            tri_testing_verify(heap.heap)
            // Among very many others.
            let (weak, cleanup) = (try m.weak(object), try m.cleanup(object, tally.context, count))
            #expect(m.get(weak) == object)
            #expect(tri_cleanup_cancel(heap.heap, cleanup))
            tri_weak_free(heap.heap, weak)
          }
        }
        tri_testing_verify(heap.heap)
        if round == 0 { metadata = heap.statistics.metadata_bytes }
      }
      #expect(heap.statistics.metadata_bytes <= metadata + metadata / 8, "cancelled records are found and used again")
      try m.cleanup(slot.pointee!, tally.context, count)
      slot.pointee = nil
      heap.collect()
      #expect(tri_cleanups_run(heap.heap, .max) == 1 && tally.count == 1, "what was cancelled does not run")
    }
    heap.close()
  }

  @Test("objects whose cleanups were cancelled far down the list die, are freed, and give their span back")
  func cancelledAndGone() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      for bytes in [16, 100_000] {
        for freed in [false, true] {
          let slot = m.root(m.leaf(bytes))
          let cleanups = try (0..<500).map { _ in try m.cleanup(slot.pointee!, tally.context, count) }
          // Not more than half of them: they stay in the list.
          for cleanup in cleanups[..<100] { #expect(tri_cleanup_cancel(heap.heap, cleanup)) }
          tri_testing_verify(heap.heap)
          if freed { tri_free(m.pointer, slot.pointee!) }
          slot.pointee = nil
          heap.collect()
          #expect(tri_cleanups_run(heap.heap, .max) == 400)
          for cleanup in cleanups { #expect(!tri_cleanup_cancel(heap.heap, cleanup)) }
        }
      }
      #expect(heap.liveObjects() == 0 && tally.count == 1600)
    }
    heap.close()
  }

  @Test("cleanups of live objects, and those that wait, run with the heap", arguments: [false, true])
  func close(_ manual: Bool) throws {
    let tally = Tally()
    let heap = try TestHeap { $0.manual_cleanups = manual ? 1 : 0 }
    heap.keep(tally)
    try heap.attached { m in
      let kept = try (0..<1000).map { _ in
        let object = m.leaf(64)
        try m.cleanup(object, tally.context, count)
        return m.root(object)
      }
      for _ in 0..<500 { try m.cleanup(m.leaf(64), tally.context, count) }
      try m.cleanup(tri_empty_object(), tally.context, count)
      heap.collect()
      #expect(kept.count == 1000)
      var mutators = tri_status.ok
      mutators = heap.collector.close()
      #expect(mutators == .mutatorsAttached)
    }
    heap.close()
    #expect(tally.count == 1501)
  }

  @Test("cleanups run beside destroy callbacks, each once")
  func destroy() throws {
    let tally = Tally()
    let destroyed = Tally()
    let heap = try manual(tally)
    heap.keep(destroyed)
    let layout = try heap.layout {
      $0.destroy = { _, _, context in Tally.of(context).runs.add(1, ordering: .sequentiallyConsistent) }
      $0.context = destroyed.context
    }
    try heap.attached { m in
      for _ in 0..<100 { try m.cleanup(m.object(layout, 64), tally.context, count) }
      let freed = m.object(layout, 64)
      try m.cleanup(freed, tally.context, count)
      tri_free(m.pointer, freed)
      heap.collect()
      #expect(tri_cleanups_run(heap.heap, .max) == 101)
      #expect(tally.count == 101 && destroyed.count == 101)
    }
  }

  @Test("a group of slots with cleanups is not handed out before they are due")
  func reuse() throws {
    let tally = Tally()
    let heap = try manual(tally)
    try heap.attached { m in
      var objects: Set<UInt> = []
      for _ in 0..<3000 {
        let object = m.leaf(64)
        objects.insert(address(object))
        try m.cleanup(object, tally.context, count)
      }
      HandCycle(heap).forceWithoutSweeping()
      var again = 0
      for _ in 0..<3000 {
        if !objects.contains(address(m.leaf(64))) { continue }
        again += 1
        // Their whole span was swept before the first of its slots was given.
        #expect(tri_cleanups_due(heap.heap) >= again)
      }
      #expect(again > 0)
    }
  }

  @Test("when memory is refused nothing is added and nothing is lost")
  func refused() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let tally = Tally()
      let heap = try TestHeap { $0.manual_cleanups = 1 }
      heap.keep(tally)
      try heap.attached { m in
        var refusals = 0
        for _ in 0..<20_000 {
          let object = m.leaf(16)
          let slot = tri_scope_begin(m.pointer)
          m.root(object)
          tri_testing_refuse_memory(0, 1)
          let status = tri_cleanup_add(m.pointer, object, count, tally.context, nil)
          tri_testing_refuse_memory(0, 0)
          if status != .ok {
            refusals += 1
            try m.cleanup(object, tally.context, count)
          }
          tri_scope_end(m.pointer, slot)
        }
        #expect(refusals > 0)
        heap.collect()
        #expect(tri_cleanups_run(heap.heap, .max) == 20_000)
      }
    }
  }

  @Test("four threads add, drop and cancel at once", .timeLimit(.minutes(1)))
  func threads() throws {
    let tally = Tally()
    let cancelled = Tally()
    let heap = try TestHeap {
      $0.growth_percent = 100
      $0.minimum_heap_bytes = 256 << 10
    }
    heap.keep(tally)
    nonisolated(unsafe) let raw = heap.heap
    let threads = (0..<4).map { seed in
      TestThread {
        var m: MutatorPointer?
        guard tri_attach(raw, UInt32(TRI_ATTACH_PRECISE), &m) == .ok else { return }
        var random = Random(UInt64(seed))
        for _ in 0..<20_000 {
          let object = tri_alloc(m!, tri_layout_leaf(raw), 16 << random.below(4))!
          var cleanup = tri_cleanup()
          guard tri_cleanup_add(m!, object, count, tally.context, &cleanup) == .ok else { return }
          let dice = random.below(4)
          if dice == 0, tri_cleanup_cancel(raw, cleanup) { cancelled.runs.add(1, ordering: .relaxed) }
          if dice == 1 { tri_free(m!, object) }
        }
        _ = tri_detach(m!)
      }
    }
    for thread in threads { thread.join() }
    heap.close()
    #expect(cancelled.count > 0 && tally.count + cancelled.count == 80_000)
  }
}

/// More than get a number in a heap's table; each adds its own.
private let functionsByTheirNumber: [CleanupFunction] = [
  { Tally.of($0).runs.add(1, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(2, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(3, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(4, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(5, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(6, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(7, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(8, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(9, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(10, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(11, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(12, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(13, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(14, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(15, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(16, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(17, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(18, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(19, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(20, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(21, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(22, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(23, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(24, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(25, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(26, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(27, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(28, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(29, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(30, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(31, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(32, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(33, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(34, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(35, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(36, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(37, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(38, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(39, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(40, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(41, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(42, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(43, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(44, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(45, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(46, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(47, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(48, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(49, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(50, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(51, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(52, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(53, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(54, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(55, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(56, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(57, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(58, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(59, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(60, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(61, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(62, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(63, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(64, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(65, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(66, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(67, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(68, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(69, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(70, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(71, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(72, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(73, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(74, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(75, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(76, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(77, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(78, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(79, ordering: .sequentiallyConsistent) },
  { Tally.of($0).runs.add(80, ordering: .sequentiallyConsistent) },
]
