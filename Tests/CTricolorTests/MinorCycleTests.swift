// MinorCycleTests: cycles that mark only what is new since the last one (collect/remember.h).

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

@Suite struct MinorCycleTests {
  @Test("an immediate that looks like an address beyond what is committed is stored into an old object")
  func immediateStored() throws {
    let heap = try TestHeap.keepingMarks {
      $0.tag_mask = 1
      $0.tag_value = 1
    }
    try heap.attached { mutator in
      let object = mutator.node(8)
      mutator.root(object)
      heap.collect(.background)
      let end = mutator.pointer.pointee.heap_start + mutator.pointer.pointee.heap_bytes
      let immediate = Object(bitPattern: end - 15)!
      mutator.store(immediate, in: object, at: 0)
      tri_copy(mutator.pointer, object, object + 8, object, 1)
      #expect(heap.isOld(object))
      heap.collectMinor()
      #expect(reference(object, at: 1) == immediate)
    }
  }
}

extension TestHeap {
  /// From the first cycle on, what survives is old until the next full one; three minor cycles follow each.
  static func keepingMarks(_ change: (inout tri_options) -> Void = { _ in }) throws -> TestHeap {
    try TestHeap {
      $0.generations = .always
      change(&$0)
    }
  }

  /// A minor cycle: as if allocation had triggered it.
  func collectMinor() {
    let before = statistics.cycles_minor
    collector.gc(.background, triggered: true)
    if statistics.cycles_minor != before + 1 { Issue.record("the cycle was not minor") }
  }

  /// Survived, and not written down since. Between cycles.
  func isOld(_ object: Object) -> Bool { tri_testing_is_marked(heap, object) }
}
