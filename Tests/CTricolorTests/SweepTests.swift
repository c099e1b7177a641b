// Sweeps that the collector thread does not do: allocation pays for them as it goes, takes only what it needs at once,
// and fills the fullest spans first.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

@Suite("sweeping by allocation")
struct SweepTests {
  /// 8 MiB of 1 KiB objects, one in every 64 alive, then 32 MiB of dead large ones.
  private func fill(_ heap: TestHeap, _ mutator: TestMutator) -> Slot {
    let kept = mutator.root(mutator.node(128))
    for index in 0..<8192 {
      let object = mutator.leaf(1024)
      if index % 64 == 0 { mutator.store(object, in: kept.pointee!, at: index / 64) }
    }
    for _ in 0..<32 { _ = mutator.leaf(1 << 20) }
    return kept
  }

  @Test("a sweep that nobody does is over when half of the way to the next trigger is gone")
  func debt() throws {
    let heap = try TestHeap { $0.minimum_heap_bytes = 8 << 20 }
    try heap.attached { mutator in
      let kept = fill(heap, mutator)
      HandCycle(heap).forceWithoutSweeping()
      #expect(heap.collector.setGrowthPercent(100))
      let half = Int(heap.statistics.trigger_bytes) / 2
      #expect(half >= 128 << 10 && half < 4 << 20, "\(half)")
      var allocated = 0
      while tri_testing_sweep_is_running(heap.heap) && allocated < 6 << 20 {
        _ = mutator.leaf(1024)
        allocated += 1024
      }
      // What is paid for is what was accounted, a piece at a time. Left alone it would go on for all of the 8 MiB.
      #expect(allocated > half / 2 && allocated <= half + (1 << 20), "\(allocated) of \(half)")
      #expect(kept.pointee != nil)
    }
    #expect(heap.statistics.cycles == 1)
  }

  @Test("a large object sweeps until it has its pages, no further")
  func large() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      _ = fill(heap, mutator)
      let before = heap.statistics.mapped_bytes
      HandCycle(heap).forceWithoutSweeping()
      for _ in 0..<4 { _ = mutator.leaf(1 << 20) }
      #expect(tri_testing_sweep_is_running(heap.heap))
      #expect(heap.statistics.mapped_bytes == before)
      for _ in 0..<28 { _ = mutator.leaf(1 << 20) }
      #expect(heap.statistics.mapped_bytes == before)
    }
  }

  /// Two thousand spans of 4 KiB slots, in one out of four something alive; returns how many objects live.
  private func fillSmall(_ mutator: TestMutator) -> UInt64 {
    let slots = 64 * 1024 / 4096
    let count = 2000 * slots
    let kept = mutator.root(mutator.node(count / 64))
    for index in 0..<count {
      let object = tri_alloc_leaf_uninitialized(mutator.pointer, 4096)!
      if index % 64 == 0 { mutator.store(object, in: kept.pointee!, at: index / 64) }
    }
    return UInt64(1 + count / 64)
  }

  // Of the shortest, two can start in one block; the longest have to start at a chunk.
  @Test(
    "a large object gets the pages of a dead one, and the small spans that lie before it stay unswept",
    arguments: [40 << 10, 200 << 10, 1 << 20, 3 << 20])
  func largeFirst(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let small = fillSmall(mutator)
      let kept = mutator.root(mutator.node(8))
      var dead: Set<UInt> = []
      for index in 0..<16 {
        let object = mutator.leaf(bytes)
        if index % 2 == 0 {
          mutator.store(object, in: kept.pointee!, at: index / 2)
        } else {
          dead.insert(address(object))
        }
      }
      HandCycle(heap).forceWithoutSweeping()
      let before = heap.statistics.mapped_bytes
      let unswept = tri_testing_unswept_spans(heap.heap, false)
      #expect(unswept >= 2000 && tri_testing_unswept_spans(heap.heap, true) == 16)
      for _ in 0..<8 {
        let object = mutator.leaf(bytes)
        #expect(dead.remove(address(object)) != nil && isZero(object, bytes))
        #expect(tri_testing_unswept_spans(heap.heap, false) == unswept)
      }
      #expect(tri_testing_unswept_spans(heap.heap, true) == 0, "the last was found by looking at all")
      #expect(heap.statistics.mapped_bytes == before && tri_testing_sweep_is_running(heap.heap))
      tri_testing_verify(heap.heap)
      #expect(!tri_testing_sweep_is_running(heap.heap) && tri_testing_unswept_spans(heap.heap, false) == 0)
      #expect(heap.statistics.live_objects == small + 1 + 8 && kept.pointee != nil)
    }
  }

  @Test("a large object that is freed or grows has large ones swept, and no small spans", arguments: [false, true])
  func largeAlone(_ frees: Bool) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let small = fillSmall(mutator)
      let kept = mutator.root(mutator.node(2))
      let bytes = 100 << 10
      mutator.store(mutator.leaf(bytes), in: kept.pointee!, at: 0)
      _ = mutator.leaf(bytes)
      mutator.store(mutator.leaf(bytes), in: kept.pointee!, at: 1)
      HandCycle(heap).forceWithoutSweeping()
      let unswept = tri_testing_unswept_spans(heap.heap, false)
      let objects = kept.pointee!.assumingMemoryBound(to: Object?.self)
      if frees {
        tri_free(mutator.pointer, objects[0])
        objects[0] = nil
        #expect(tri_object_start(heap.heap, objects[1]!) != nil)
      } else {
        // The pages behind it are those of the dead one, which lies in the same part.
        #expect(tri_resize(mutator.pointer, objects[0]!, bytes + (60 << 10)))
      }
      #expect(tri_testing_unswept_spans(heap.heap, false) == unswept && tri_testing_sweep_is_running(heap.heap))
      _ = mutator.leaf(bytes)
      tri_testing_verify(heap.heap)
      #expect(!tri_testing_sweep_is_running(heap.heap))
      #expect(heap.statistics.live_objects == small + 3)
      #expect(heap.statistics.explicitly_freed_bytes == (frees ? UInt64(bytes) : 0))
      #expect(heap.liveObjects() == small + 1 + (frees ? 1 : 2))
    }
  }

  @Test("where dead large objects leave too little, small spans are swept")
  func largeThenSmall() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      _ = fillSmall(mutator)
      // Apart from each other.
      let kept = mutator.root(mutator.node(8))
      for index in 0..<16 {
        let object = mutator.leaf(100 << 10)
        if index % 2 == 0 { mutator.store(object, in: kept.pointee!, at: index / 2) }
      }
      HandCycle(heap).forceWithoutSweeping()
      let before = heap.statistics.mapped_bytes
      let unswept = tri_testing_unswept_spans(heap.heap, false)
      // Three dead spans of small objects lie between two that live.
      _ = mutator.leaf(190 << 10)
      #expect(heap.statistics.mapped_bytes == before)
      #expect(tri_testing_unswept_spans(heap.heap, true) == 0)
      let left = tri_testing_unswept_spans(heap.heap, false)
      #expect(left < unswept && left > unswept - 256, "one unit")
    }
  }

  private final class Gate: Sendable {
    let entered = Flag(), open = Flag()
    let visits = Counter()
  }

  @Test("while a large object is being swept nobody else visits it, and the sweep is not over")
  func visitedOnce() throws {
    let heap = try TestHeap()
    let gate = Gate()
    heap.keep(gate)
    let layout = try heap.layout {
      $0.form = .leaf
      $0.context = Unmanaged.passUnretained(gate).toOpaque()
      $0.destroy = { _, _, context in
        let gate = Unmanaged<Gate>.fromOpaque(context!).takeUnretainedValue()
        gate.visits.add()
        gate.entered.set()
        _ = gate.open.wait()
      }
    }
    try heap.attached { mutator in
      let small = fillSmall(mutator)
      _ = mutator.object(layout, 100 << 10)
      HandCycle(heap).forceWithoutSweeping()
      let thread = TestThread { try! heap.attached { _ = $0.leaf(100 << 10) } }
      #expect(gate.entered.wait())
      // All the rest, the small spans of its unit among it.
      var allocated = 0
      while tri_testing_unswept_spans(heap.heap, false) != 0 && allocated < 40_000 {
        for _ in 0..<64 { _ = tri_alloc_leaf_uninitialized(mutator.pointer, 4096) }
        allocated += 64
      }
      #expect(tri_testing_unswept_spans(heap.heap, false) == 0 && tri_testing_unswept_spans(heap.heap, true) == 1)
      #expect(tri_testing_sweep_is_running(heap.heap))
      gate.open.set()
      thread.join()
      #expect(!tri_testing_sweep_is_running(heap.heap))
      #expect(gate.visits.count == 1 && heap.statistics.live_objects == small)
    }
  }

  @Test("threads that allocate large objects and small ones sweep each dead object once, and count all that live")
  func together() throws {
    let heap = try TestHeap()
    let destroyed = Counter()
    heap.keep(destroyed)
    nonisolated(unsafe) let layout = try heap.layout {
      $0.form = .leaf
      $0.context = Unmanaged.passUnretained(destroyed).toOpaque()
      $0.destroy = { _, _, context in Unmanaged<Counter>.fromOpaque(context!).takeUnretainedValue().add() }
    }
    try heap.attached { mutator in
      let small = fillSmall(mutator)
      let kept = mutator.root(mutator.node(32))
      var ranges: [Range<UInt>] = []
      for index in 0..<32 {
        let object = mutator.object(layout, 100 << 10)
        mutator.store(object, in: kept.pointee!, at: index)
        ranges.append(address(object)..<address(object) + 100 << 10)
      }
      var made = 0
      for seed in 1...10 as ClosedRange<UInt64> {
        HandCycle(heap).forceWithoutSweeping()
        let arrived = Counter()
        let answers = (0..<2).map { _ in Answer() }
        let threads = answers.enumerated().map { number, answer in
          TestThread {
            try! heap.attached { mutator in
              var random = Random(seed << 8 + UInt64(number))
              arrived.add()
              while arrived.count < 2 {}
              for _ in 0..<40 {
                let bytes = (33 + random.below(300)) << 10
                let object = mutator.object(layout, bytes)
                answer.ranges.append(address(object)..<address(object) + UInt(bytes))
                if random.below(4) == 0 { for _ in 0..<20 { _ = mutator.leaf(2048 << random.below(4)) } }
              }
            }
          }
        }
        for thread in threads { thread.join() }
        let all = (ranges + answers.flatMap(\.ranges)).sorted { $0.lowerBound < $1.lowerBound }
        #expect(
          zip(all, all.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }, "seed \(seed): one place twice")
        tri_testing_verify(heap.heap)
        #expect(heap.statistics.live_objects == small + 1 + 32, "seed \(seed)")
        #expect(destroyed.count == made, "seed \(seed)")
        made += 80
      }
      heap.collect()
      #expect(destroyed.count == made)
      #expect(heap.statistics.live_objects == small + 1 + 32)
    }
  }

  /// What a thread found, for after it was joined.
  private final class Answer: @unchecked Sendable {
    var ranges: [Range<UInt>] = []
  }

  @Test("the fullest span is filled first")
  func fullest() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      // Spans of 64 objects; of span n, counted from 1, an eighth of n stays alive.
      let kept = mutator.root(mutator.node(8 * 64))
      var word = 0
      var first: [UInt] = []
      for span in 1...7 {
        for slot in 0..<64 {
          let object = mutator.leaf(1024)
          if slot == 0 { first.append(UInt(bitPattern: object) >> 16) }
          guard slot < 8 * span else { continue }
          mutator.store(object, in: kept.pointee!, at: word)
          word += 1
        }
      }
      #expect(Set(first).count == 7)
      heap.collect()
      // Eight free slots in the fullest, then sixteen, ...
      var seen: [UInt] = []
      for _ in 0..<(8 + 16) {
        let block = UInt(bitPattern: mutator.leaf(1024)) >> 16
        if seen.last != block { seen.append(block) }
      }
      #expect(Set(seen) == [first[6], first[5]], "\(seen) of \(first)")
    }
  }
}
