// WindowTests: what a window hands out, as a range or by its mask, and that no slot waits twice, or is lost.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

/// So many groups, all of them free, and a thread is given ranges.
private let wholeGroups = 40

extension UnsafeMutablePointer<tri_window> {
  fileprivate var hasRange: Bool { pointee.next < pointee.limit }
  fileprivate var waits: Int { Int(tri_testing_waiting_slots(self)) }
}

extension TestMutator {
  /// Allocates until the window has a range of which some was handed out: those, the first first.
  fileprivate func intoRange(_ layout: OpaquePointer, _ bytes: Int) -> [Object] {
    for _ in 0..<wholeGroups * 64 { _ = object(layout, bytes) }
    let window = window(layout, bytes)
    var objects: [Object] = []
    // Groups of which some is alive are in between.
    for _ in 0..<wholeGroups where objects.isEmpty || !window.hasRange {
      drain(layout, bytes)
      objects = [object(layout, bytes)]
    }
    #expect(window.hasRange && window.pointee.free_slots == 0)
    for _ in 0..<4 { objects.append(object(layout, bytes)) }
    return objects
  }
}

@Suite struct WindowTests {
  @Test("where all is free a thread is given ranges, slot after slot", arguments: [16, 64, 128, 144, 512, 1024])
  func range(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let first = mutator.intoRange(heap.leaf, bytes)
      let window = mutator.window(heap.leaf, bytes)
      let usable = Int(window.pointee.slot_bytes)
      for (index, object) in first.enumerated() { #expect(address(object) - address(first[0]) == UInt(index * usable)) }
      #expect(address(first[0]) == window.pointee.base)
      #expect(window.waits == 64 - first.count)
      #expect(window.waits * usable == Int(window.pointee.limit - window.pointee.next))
      tri_testing_verify(heap.heap)
      let rest = mutator.drain(heap.leaf, bytes)
      #expect(rest.count == 64 - first.count && address(rest.last!) == window.pointee.base + UInt(63 * usable))
      #expect(window.waits == 0)
    }
  }

  @Test("where some is alive a thread is given masks, and ranges again once all is free for a while")
  func mask() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let scope = tri_scope_begin(mutator.pointer)
      for index in 0..<3000 {
        let object = mutator.leaf(64)
        if index % 3 == 0 { mutator.root(object) }
      }
      let window = mutator.window(heap.leaf, 64)
      #expect(window.hasRange)
      heap.collect()
      for _ in 0..<1000 {
        _ = mutator.leaf(64)
        #expect(!window.hasRange)
      }
      // What would be fetched ahead is alive for a third.
      #expect(window.pointee.ahead_bytes == 0)
      tri_scope_end(mutator.pointer, scope)
      heap.collect()
      for _ in 0...wholeGroups * 64 { _ = mutator.leaf(64) }
      #expect(window.hasRange && window.pointee.ahead_bytes > 64 * 64)
    }
  }

  @Test("a cycle takes back what waits in a range, and hands out nothing twice", arguments: [Mode.background, .force])
  func cycle(_ mode: Mode) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<3 {
        let kept = mutator.intoRange(heap.references, 32).map { mutator.root($0).pointee! }
        heap.collect(mode)
        var seen = Set(kept.map { address($0) })
        for _ in 0..<1000 { #expect(seen.insert(address(mutator.object(heap.references, 32))).inserted) }
        tri_testing_verify(heap.heap)
      }
      #expect(heap.liveObjects() == 15)
    }
  }

  @Test("while marking, what is handed out from a range is black")
  func black() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      _ = mutator.intoRange(heap.references, 32)
      let cycle = HandCycle(heap)
      cycle.begin()
      #expect(mutator.window(heap.references, 32).hasRange)
      while mutator.window(heap.references, 32).waits > 0 {
        #expect(tri_testing_is_marked(heap.heap, mutator.object(heap.references, 32)))
      }
      cycle.scan()
      cycle.mark()
      tri_testing_verify(heap.heap)
      cycle.finish()
    }
  }

  @Test("freed into a window, a slot waits beside what was a range", arguments: [32, 64, 200])
  func freed(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let objects = mutator.intoRange(heap.leaf, bytes)
      let window = mutator.window(heap.leaf, bytes)
      tri_free(mutator.pointer, objects[1])
      #expect(!window.hasRange && window.waits == 60)
      tri_free(mutator.pointer, objects[3])
      #expect(window.waits == 61)
      tri_testing_verify(heap.heap)
      #expect(mutator.leaf(bytes) == objects[1])
      #expect(mutator.leaf(bytes) == objects[3])
      var seen = Set(objects.map { address($0) })
      for object in mutator.drain(heap.leaf, bytes) { #expect(seen.insert(address(object)).inserted) }
      #expect(seen.count == 64)
      // The window where the last free went is loaded again, with a range: a free of what it held finds another group.
      let next = mutator.leaf(bytes)
      tri_free(mutator.pointer, objects[2])
      tri_free(mutator.pointer, next)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("freed by turns, objects of several classes go back into the windows of their own", arguments: [false, true])
  func freedByTurns(_ minorCycles: Bool) throws {
    let heap = try TestHeap { if minorCycles { $0.generations = .always } }
    try heap.attached { mutator in
      if minorCycles { heap.collector.gc(.background) }
      let sizes = [32, 64, 200]
      let objects = sizes.map { mutator.intoRange(heap.leaf, $0) }
      for index in 1..<3 {
        for (size, of) in zip(sizes, objects) {
          tri_free(mutator.pointer, of[index])
          #expect(mutator.window(heap.leaf, size).waits == 59 + index)
        }
      }
      tri_testing_verify(heap.heap)
      for index in 1..<3 {
        for (size, of) in zip(sizes, objects) { #expect(mutator.leaf(size) == of[index]) }
      }
      // The windows are loaded again, with ranges: what is freed of them, or of what they held, is found elsewhere.
      for size in sizes { _ = mutator.drain(heap.leaf, size) }
      let next = sizes.map { mutator.leaf($0) }
      for of in objects { tri_free(mutator.pointer, of[2]) }
      for object in next { tri_free(mutator.pointer, object) }
      tri_testing_verify(heap.heap)
      var seen = Set<UInt>()
      for size in sizes { #expect(seen.insert(address(mutator.leaf(size))).inserted) }
    }
  }

  @Test("freed to a magazine, a slot ends the ranges of its class, and the next refill brings none")
  func magazine() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let elsewhere = (0..<10).map { _ in mutator.leaf(64) }
      _ = mutator.intoRange(heap.leaf, 64)
      let raw = mutator.window(heap.leaf, 64, zeroed: false)
      _ = tri_alloc_leaf_uninitialized(mutator.pointer, 64)
      let window = mutator.window(heap.leaf, 64)
      #expect(window.hasRange && raw.hasRange)
      tri_free(mutator.pointer, elsewhere[0])
      #expect(!window.hasRange && window.waits == 59 && !raw.hasRange && raw.waits == 63)
      tri_testing_verify(heap.heap)
      // What waits, what was freed, and the next group.
      for _ in 0..<59 { #expect(mutator.leaf(64) != elsewhere[0]) }
      #expect(mutator.leaf(64) == elsewhere[0])
      _ = mutator.leaf(64)
      #expect(!window.hasRange && window.waits == 63)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a free takes nothing for waiting that it sees in the middle of a load", arguments: [false, true])
  func middleOfLoad(_ asRange: Bool) throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      // The group of before, and slots of the one that is being loaded: those of the object wait by what is there.
      let object = companion.run { other -> UInt in
        let object = address(other.leaf(200))
        let window = other.window(heap.leaf, 200)
        window.pointee.loads += 1
        if asRange {
          window.pointee.next = window.pointee.base
          window.pointee.limit = window.pointee.base + 64 * UInt(window.pointee.slot_bytes)
        } else {
          window.pointee.free_slots |= 1
        }
        return object
      }
      tri_free(mutator.pointer, Object(bitPattern: object)!)
      companion.run { other in
        let window = other.window(heap.leaf, 200)
        window.pointee.loads += 1
        (window.pointee.next, window.pointee.limit) = (0, 0)
        window.pointee.free_slots &= ~1
      }
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  @Test("a range that a thread leaves behind is another's, whole")
  func orphan() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      let theirs = companion.run { $0.intoRange(heap.leaf, 48).map { address($0) } }
      companion.end()
      tri_testing_verify(heap.heap)
      let first = address(mutator.leaf(48))
      #expect(first == theirs.last! + 48)
      #expect(mutator.window(heap.leaf, 48).waits == 58)
      tri_testing_verify(heap.heap)
    }
  }
}
