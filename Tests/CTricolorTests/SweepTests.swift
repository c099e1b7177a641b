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
