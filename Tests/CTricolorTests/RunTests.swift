// RunTests: how groups of a span go to threads, and how long an empty span is kept.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let groupSlots = 64

@Suite struct RunTests {
  /// The groups of the heap's first span of this class that one thread was given slots of, in order.
  private func groups(_ mutator: TestMutator, _ bytes: Int, _ count: Int) -> [Int] {
    let start = mutator.pointer.pointee.heap_start
    return (0..<count).map { _ in
      // One slot of each group is enough: the others are left to the window.
      let object = mutator.leaf(bytes)
      let group = Int(address(object) - start) / (groupSlots * bytes)
      mutator.drain(tri_layout_leaf(mutator.heap), bytes)
      return group
    }
  }

  @Test("a window takes runs of twice as many groups each time, up to 32 KiB", arguments: [16, 32, 64, 128, 256, 512])
  func doubling(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let window = mutator.window(heap.leaf, bytes)
      let groupsOfSpan = 65_536 / (groupSlots * bytes)
      let most = max(1, 32_768 / (groupSlots * bytes))
      var expected = 1
      var next = 0
      while next < groupsOfSpan {
        let run = min(expected, groupsOfSpan - next)
        for group in next..<next + run {
          #expect(groups(mutator, bytes, 1) == [group])
          #expect(Int(window.pointee.run_end) == next + run)
          #expect(Int(window.pointee.run_next) == group + 1)
          #expect(Int(window.pointee.run_groups) == run)
        }
        next += run
        expected = min(2 * expected, most)
      }
      #expect(heap.statistics.spans == 1)
      // A span that was used up in the middle of a run: the next one continues from what it got.
      _ = mutator.leaf(bytes)
      #expect(heap.statistics.spans == 2)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("what waits in windows is no reason for a cycle: objects of all sizes bring none forward")
  func waiting() throws {
    // Sizes that have windows of 64 to 512 KiB, of which one slot is used at a time.
    let sizes = (24..<72).map { Int(tri_size_class_bytes($0)) }
    let heap = try TestHeap {
      $0.growth_percent = 100
      $0.generations = .off
    }
    try heap.attached { mutator in
      var allocated = 0
      for round in 0..<40 {
        for bytes in sizes {
          _ = mutator.leaf(bytes)
          allocated += bytes
        }
        if round % 10 == 0 { tri_testing_verify(heap.heap) }
      }
      let cycles = heap.statistics.cycles
      // As many as for one size of that much: the pacer leaves at least half a MiB between cycles.
      #expect(cycles >= UInt64(allocated >> 23) && cycles <= UInt64(allocated >> 19), "\(cycles) cycles")
    }
  }

  @Test("slots above 512 bytes come a group at a time", arguments: [576, 1024, 8192])
  func single(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<5 {
        _ = mutator.leaf(bytes)
        let window = mutator.window(heap.leaf, bytes)
        #expect(window.pointee.run_groups == 1 && window.pointee.run_next == window.pointee.run_end)
        mutator.drain(heap.leaf, bytes)
      }
    }
  }

  @Test("a second thread gets other groups of the same span, whatever the first holds")
  func twoThreads() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      #expect(groups(mutator, 64, 1) == [0])
      #expect(companion.run { self.groups($0, 64, 1) } == [1])
      #expect(groups(mutator, 64, 2) == [2, 3])
      #expect(companion.run { self.groups($0, 64, 2) } == [4, 5])
      // Four each: the first of them, then the other thread, then the rest.
      #expect(groups(mutator, 64, 1) == [6])
      #expect(companion.run { self.groups($0, 64, 1) } == [10])
      #expect(groups(mutator, 64, 3) == [7, 8, 9])
      #expect(companion.run { self.groups($0, 64, 3) } == [11, 12, 13])
      // Two are left; who comes next takes them.
      #expect(groups(mutator, 64, 1) == [14])
      #expect(heap.statistics.spans == 1)
      #expect(companion.run { self.groups($0, 64, 1) } == [16], "a new span")
      #expect(heap.statistics.spans == 2)
      #expect(groups(mutator, 64, 1) == [15])
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  @Test("the groups of a run that a detaching thread did not use are the next one's")
  func detached() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    #expect(companion.run { self.groups($0, 64, 4) } == [0, 1, 2, 3])  // 3...6 are its run
    companion.end()
    try heap.attached { mutator in
      #expect(groups(mutator, 64, 4) == [4, 5, 6, 7])
      #expect(heap.statistics.spans == 1)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a cycle ends runs: groups that nobody took from are given again, each slot once")
  func cycle() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      mutator.root(mutator.leaf(64))
      _ = groups(mutator, 64, 4)
      _ = companion.run { self.groups($0, 64, 4) }
      companion.run(besides: mutator) { _ in heap.collector.gc(.forceBlock) }
      #expect(heap.statistics.live_objects == 1)
      let own = (0..<500).map { _ in address(mutator.leaf(64)) }
      let others = companion.run { other in (0..<500).map { _ in address(other.leaf(64)) } }
      #expect(Set(own).union(others).count == 1000)
      #expect(heap.statistics.spans <= 2)
    }
    companion.end()
  }

  @Test("a span whose objects were all freed while a thread held a run of it is used again before the heap grows")
  func freedDuringRun() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      // All of a span; the last group is still in the window, though nothing waits there.
      let objects = (0..<1024).map { _ in mutator.leaf(64) }
      #expect(heap.statistics.spans == 1)
      companion.run { other in
        _ = other.leaf(64)  // finds nothing left in the first span
        for object in objects { tri_free(other.pointer, object) }
      }
      #expect(heap.statistics.spans == 2)
      // What is left of the second span, then the first one again, but for what the other thread keeps.
      for _ in 0..<1024 { _ = mutator.leaf(64) }
      #expect(heap.statistics.spans == 2)
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  // MARK: Empty spans

  @Test(
    "an empty span is kept for one cycle, and given back by the next if nobody wanted it",
    arguments: [16, 64, 200, 5000])
  func kept(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(bytes)
      for mode in [Mode.background, .force, .background] {
        heap.collect(mode)
        #expect(heap.statistics.spans == 1)
        #expect(mutator.leaf(bytes) == object, "it is used again")
      }
      heap.collect(.background)
      #expect(heap.statistics.spans == 1)
      heap.collect(.background)
      #expect(heap.statistics.spans == 0)
      #expect(tri_object_start(heap.heap, object) == nil)
      // Its pages are anyone's.
      #expect(mutator.leaf(40_000) == object)
      _ = mutator.leaf(bytes)
      heap.collect(.forceBlock)
      #expect(heap.statistics.spans == 0, "a cycle that makes room keeps none")
    }
  }

  @Test("sixteen of a class are kept, of each class")
  func many() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      func fill(_ layout: OpaquePointer, _ bytes: Int, spans: Int) {
        for _ in 0..<spans * Int(tri_testing_span_bytes(tri_size_class(bytes))) / bytes {
          _ = mutator.object(layout, bytes)
        }
      }
      fill(heap.leaf, 1024, spans: 40)
      fill(heap.references, 1024, spans: 40)
      fill(heap.leaf, 2048, spans: 3)
      #expect(heap.statistics.spans == 83)
      heap.collect(.background)
      #expect(heap.statistics.spans == 16 + 16 + 3)
      fill(heap.leaf, 1024, spans: 5)
      #expect(heap.statistics.spans == 35)
      heap.collect(.background)
      #expect(heap.statistics.spans == 5, "those that were used since")
      heap.collect(.background)
      #expect(heap.statistics.spans == 0)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a span with one live object is no empty one, and stays as long as that")
  func oneAlive() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let slot = mutator.root(mutator.leaf(64))
      for _ in 0..<5 { heap.collect() }
      #expect(heap.statistics.spans == 1)
      slot.pointee = nil
      heap.collect(.background)
      #expect(heap.statistics.spans == 0, "nobody allocated from it since the last cycle")
    }
  }
}
