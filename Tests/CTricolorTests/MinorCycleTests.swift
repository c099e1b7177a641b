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

  @Test("a freed old object is not scanned again when memory for grey objects was refused")
  func freedBeforeRecovery() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap.keepingMarks()
      let rare = try heap.layout {
        $0.form = .mask
        $0.prefix_words = 5
        $0.prefix_mask = 1
      }
      try heap.attached { mutator in
        // Large objects side by side, so that one of them starts in the middle of what takes their place.
        let large = (0..<4).map { _ in mutator.node(5000) }
        let holders = large.map { object in
          let holder = mutator.root(mutator.object(rare, 40))
          mutator.store(object, in: holder.pointee!)
          return holder
        }
        let count = 200_000
        let table = mutator.node(count)
        mutator.root(table)
        for word in 0..<count { mutator.store(mutator.node(), in: table, at: word) }
        heap.collect(.background)
        for (holder, object) in zip(holders, large) {
          tri_free(mutator.pointer, holder.pointee)
          tri_free(mutator.pointer, object)
          holder.pointee = nil
        }
        let kept = mutator.root(nil)
        for _ in 0..<20_000 { kept.pointee = mutator.leaf(48) }
        // More old objects are written down than there is memory for.
        let young = mutator.root(mutator.node())
        tri_testing_refuse_memory(0, .max)
        for word in 0..<count { mutator.store(young.pointee, in: reference(table, at: word)!) }
        tri_testing_refuse_memory(0, 0)
        #expect((0..<count).contains { heap.isOld(reference(table, at: $0)!) })
        young.pointee = nil
        heap.collectMinor()
        tri_testing_verify(heap.heap)
        #expect(heap.liveObjects() == UInt64(count + 3))
      }
    }
  }

  @Test("a reference that comes into the source of a copy while it is copied is not lost")
  func copiedWhileStored() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 60)
      let heap = try TestHeap.keepingMarks()
      let count = 300_000
      try heap.attached { mutator in
        let source = mutator.root(mutator.node(count))
        let copy = mutator.root(mutator.node(count))
        var isDone = false
        for round in 0..<100 where !isDone {
          heap.collect(.background)
          Seen.object = source.pointee
          let writer = storingWhenTold(heap, after: Seen.count.count)
          // The writer's object must be there, and be young.
          tri_blocking_begin(mutator.pointer)
          #expect(eventually { Seen.progressed.count > round })
          tri_blocking_end(mutator.pointer)
          tri_testing_set_step_hook { if $0 == .store { Seen.count.add() } }
          tri_copy(mutator.pointer, copy.pointee!, copy.pointee!, source.pointee!, count)
          tri_testing_set_step_hook(nil)
          isDone = reference(copy.pointee!) != nil && reference(source.pointee!) != nil
          if isDone { #expect(!heap.isOld(copy.pointee!)) }
          while Seen.ticks.count <= round { tri_safepoint(mutator.pointer) }
          tri_blocking_begin(mutator.pointer)
          writer.join()
          tri_blocking_end(mutator.pointer)
          mutator.store(nil, in: source.pointee!)
          if isDone { heap.collectMinor() }
          mutator.store(nil, in: copy.pointee!)
        }
        #expect(isDone)
      }
    }
  }
}

/// A thread that stores a young object into the first word of `Seen.object` as soon as somebody has begun to copy.
private func storingWhenTold(_ heap: TestHeap, after before: Int) -> TestThread {
  TestThread {
    try! heap.attached { mutator in
      let young = mutator.root(mutator.leaf(16))
      Seen.progressed.add()
      while Seen.count.count == before { tri_safepoint(mutator.pointer) }
      mutator.store(young.pointee, in: Seen.object)
      Seen.ticks.add()
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
