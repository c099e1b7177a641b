// WeakTests: weak references read the object while it lives and nothing from the last stop of the cycle that found it
// dead, in every mode, while sweeping, in minor cycles, and when it is freed.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

extension TestMutator {
  func weak(_ object: Object) throws -> OpaquePointer {
    var weak: OpaquePointer?
    let status = tri_weak_make(pointer, object, &weak)
    try #require(status == .ok)
    return weak!
  }
  func get(_ weak: OpaquePointer) -> Object? { tri_weak_get(pointer, weak) }
}

@Suite struct WeakTests {
  @Test("a weak reference reads its object while that is alive, and NULL once it is not", arguments: [UInt32(0), 1, 2])
  func clears(_ mode: UInt32) throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let slot = m.root(m.node())
      let weak = try m.weak(slot.pointee!)
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(m.get(weak) == slot.pointee)
      slot.pointee = nil
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(m.get(weak) == nil)
      tri_weak_free(heap.heap, weak)
    }
  }

  @Test("every size class and large objects, first and last slots")
  func sizes() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      var made: [(weak: OpaquePointer, slot: Slot?)] = []
      for bytes in [16, 32, 48, 112, 640, 5000, 32768, 32769, 300_000] {
        for index in 0..<(bytes > 5000 ? 3 : 5000) {
          let object = m.leaf(bytes)
          if index % 3 == 2 { continue }
          made.append((try m.weak(object), index % 3 == 0 ? m.root(object) : nil))
        }
      }
      for mode: Mode in [.background, .forceBlock] {
        heap.collect(mode)
        #expect(made.allSatisfy { m.get($0.weak) == $0.slot?.pointee })
      }
      for (weak, _) in made { tri_weak_free(heap.heap, weak) }
    }
    tri_testing_verify(heap.heap)
  }

  @Test("several weak references to one object are freed one by one")
  func several() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let slot = m.root(m.node())
      let weak = try (0..<5).map { _ in try m.weak(slot.pointee!) }
      for at in weak {
        #expect(m.get(at) == slot.pointee)
        tri_weak_free(heap.heap, at)
      }
      // The memory serves another object's.
      let other = m.root(m.node())
      let again = try m.weak(other.pointee!)
      #expect(m.get(again) == other.pointee)
      slot.pointee = nil
      heap.collect()
      #expect(m.get(again) == other.pointee)
    }
  }

  @Test("the empty object is never cleared")
  func empty() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let weak = try m.weak(tri_empty_object())
      heap.collect()
      #expect(m.get(weak) == tri_empty_object())
      tri_weak_free(heap.heap, weak)
    }
  }

  @Test("between the last stop and the sweep a dead object is not handed out, a live one is", arguments: [false, true])
  func unswept(_ large: Bool) throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let bytes = large ? 100_000 : 64
      let live = m.root(m.leaf(bytes))
      let liveWeak = try m.weak(live.pointee!)
      let dead = try m.weak(m.leaf(bytes))
      HandCycle(heap).forceWithoutSweeping()
      #expect(tri_testing_sweep_is_running(heap.heap))
      #expect(m.get(dead) == nil)
      #expect(m.get(liveWeak) == live.pointee)
      // Freed before the sweep comes by.
      tri_free(m.pointer, live.pointee)
      live.pointee = nil
      #expect(m.get(liveWeak) == nil)
      heap.collect()
      #expect(m.get(dead) == nil && m.get(liveWeak) == nil)
    }
  }

  @Test("a slot that is used again after the sweep is not taken for the dead object")
  func reuse() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let object = m.leaf(64)
      let weak = try m.weak(object)
      HandCycle(heap).forceWithoutSweeping()
      // Sweeps, and takes the slot.
      var again = m.leaf(64)
      for _ in 0..<100_000 where again != object { again = m.leaf(64) }
      #expect(again == object)
      #expect(m.get(weak) == nil)
    }
  }

  @Test("while marking a weak load keeps its object, in every policy", arguments: [UInt32(0), 1])
  func loadWhileMarking(_ policy: UInt32) throws {
    let heap = try TestHeap { $0.barrier = tri_barrier_policy(rawValue: policy)! }
    try heap.attached { m in
      let weak = try m.weak(m.node())
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      let loaded = m.root(m.get(weak))
      #expect(loaded.pointee != nil && m.barrierWords > 0)
      cycle.finish()
      #expect(m.get(weak) == loaded.pointee)
      heap.collect()
      #expect(m.get(weak) == loaded.pointee)
      loaded.pointee = nil
      heap.collect()
      #expect(m.get(weak) == nil)
    }
  }

  @Test("what a weak load rescues keeps what it refers to")
  func rescueGraph() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let list = m.list(5000)
      let weak = try m.weak(list.pointee!)
      list.pointee = nil
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      list.pointee = m.get(weak)
      cycle.finish()
      #expect(listLength(list.pointee) == 5000)
      #expect(heap.liveObjects() == 5000)
    }
  }

  @Test("an explicit free clears weak references at once, in and out of marking", arguments: [false, true])
  func freed(_ marking: Bool) throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let object = m.leaf(64)
      let neighbour = m.root(m.leaf(64))
      let weak = try m.weak(object)
      let other = try m.weak(neighbour.pointee!)
      let cycle = HandCycle(heap)
      if marking { cycle.begin() }
      tri_free(m.pointer, object)
      #expect(m.get(weak) == nil)
      #expect(m.get(other) == neighbour.pointee)
      if marking {
        cycle.scan()
        cycle.mark()
        cycle.finish()
      } else {
        #expect((0..<1000).contains { _ in m.leaf(64) == object })
        #expect(m.get(weak) == nil)
      }
      #expect(m.get(other) == neighbour.pointee)
    }
  }

  @Test("a free sees what was tied to an object after its block had a ticket", arguments: [64, 3000])
  func ticket(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let objects = (0..<200).map { _ in m.leaf(bytes) }
      // Into magazines, as their windows are in other groups by now.
      for object in objects[0..<20] { tri_free(m.pointer, object) }
      let weak = try (20..<200).map { try m.weak(objects[$0]) }
      for object in objects[20...] { tri_free(m.pointer, object) }
      for reference in weak { #expect(m.get(reference) == nil) }
    }
  }

  @Test("the shortcut of free sees what another thread tied to a neighbour's slot")
  func shortcut() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      // The place of the last free is remembered; then the object gets a weak reference from elsewhere.
      let first = m.leaf(64)
      let second = m.root(m.leaf(64))
      tri_free(m.pointer, first)
      nonisolated(unsafe) let object = second.pointee!
      nonisolated(unsafe) var weak: OpaquePointer?
      let raw = heap.heap
      nonisolated(unsafe) let shared = raw
      let thread = TestThread {
        var other: MutatorPointer?
        _ = tri_attach(shared, UInt32(TRI_ATTACH_PRECISE), &other)
        _ = tri_weak_make(other!, object, &weak)
        _ = tri_detach(other!)
      }
      tri_blocking_begin(m.pointer)
      thread.join()
      tri_blocking_end(m.pointer)
      #expect(m.get(weak!) == object)
      tri_free(m.pointer, object)
      #expect(m.get(weak!) == nil)
      second.pointee = nil
    }
  }

  @Test("resizing in place leaves weak references and cleanups as they are")
  func resize() throws {
    let heap = try TestHeap { $0.manual_cleanups = 1 }
    try heap.attached { m in
      let object = m.leaf(100_000)
      let slot = m.root(object)
      let weak = try m.weak(object)
      try m.cleanup(object) { _ in }
      #expect(tri_resize(m.pointer, object, 400_000))
      heap.collect()
      #expect(m.get(weak) == object && tri_cleanups_due(heap.heap) == 0)
      slot.pointee = nil
      heap.collect()
      #expect(m.get(weak) == nil && tri_cleanups_due(heap.heap) == 1)
    }
  }

  @Test("minor cycles clear weak references to young objects and leave those to old ones")
  func minor() throws {
    let heap = try TestHeap { $0.generations = .always }
    try heap.attached { m in
      var pacing = tri_pacing()
      pacing.trigger_bytes = .max
      pacing.urgent_bytes = .max
      pacing.hold_bytes = .max
      pacing.account_bytes = 32 << 10
      pacing.minor = true
      pacing.keep_marks = true
      let old = m.root(m.node())
      let oldWeak = try m.weak(old.pointee!)
      tri_pacing_set(heap.heap, &pacing)
      heap.collector.gc(.forceBlock)
      tri_pacing_set(heap.heap, &pacing)
      let young = try m.weak(m.node())
      let kept = m.root(m.node())
      let keptWeak = try m.weak(kept.pointee!)
      // An unreachable old object stays until a full cycle.
      old.pointee = nil
      let cycle = HandCycle(heap)
      cycle.begin(triggered: true)
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(heap.statistics.cycles_minor == 1)
      #expect(m.get(young) == nil && m.get(keptWeak) == kept.pointee)
      #expect(m.get(oldWeak) != nil)
      heap.collect()
      #expect(m.get(oldWeak) == nil && m.get(keptWeak) == kept.pointee)
    }
  }

  @Test("a second pass in the same stop clears nothing that is alive")
  func secondPass() throws {
    let heap = try TestHeap { $0.trace = 2 }
    try heap.attached { m in
      let slot = m.root(m.node())
      let weak = try m.weak(slot.pointee!)
      let dead = try m.weak(m.node())
      heap.collect(.background)
      #expect(m.get(weak) == slot.pointee && m.get(dead) == nil)
    }
  }

  @Test("when memory is refused nothing is made and nothing is lost")
  func refused() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      try heap.attached { m in
        let objects = (0..<20_000).map { _ in m.root(m.leaf(16)).pointee! }
        var made: [OpaquePointer] = []
        var refusals = 0
        for object in objects {
          tri_testing_refuse_memory(0, 1)
          var weak: OpaquePointer?
          let status = tri_weak_make(m.pointer, object, &weak)
          tri_testing_refuse_memory(0, 0)
          if status == .ok {
            made.append(weak!)
          } else {
            #expect(status == .outOfMemory && weak == nil)
            refusals += 1
            made.append(try m.weak(object))
          }
        }
        #expect(refusals > 0)
        heap.collect()
        #expect(zip(made, objects).allSatisfy { m.get($0) == $1 })
        for weak in made { tri_weak_free(heap.heap, weak) }
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("weak references made and freed a million times take no more memory")
  func recycled() throws {
    let heap = try TestHeap { $0.verify = 0 }
    try heap.attached { m in
      let slots = (0..<64).map { _ in m.root(m.leaf(16)) }
      for slot in slots { tri_weak_free(heap.heap, try m.weak(slot.pointee!)) }
      let before = heap.statistics.metadata_bytes
      for round in 0..<300_000 {
        let one = try m.weak(slots[round % 64].pointee!)
        let two = try m.weak(slots[(round * 7 + 1) % 64].pointee!)
        tri_weak_free(heap.heap, one)
        tri_weak_free(heap.heap, two)
      }
      #expect(heap.statistics.metadata_bytes == before)
    }
  }
}
