// FreeTests: explicit free gives memory back once, now or after the cycle under way. What it refuses: CrashTests.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

/// Counts what its layout destroyed.
private final class Destroyed: Sendable {
  let counter = Counter()
  var count: Int { counter.count }
  var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  func layout(of heap: TestHeap, _ form: tri_layout_form = .leaf) throws -> OpaquePointer {
    heap.keep(self)
    return try heap.layout {
      $0.form = form
      $0.context = context
      $0.destroy = { _, _, context in Unmanaged<Destroyed>.fromOpaque(context!).takeUnretainedValue().counter.add() }
    }
  }
}

@Suite struct FreeTests {
  @Test("a freed slot is the next one handed out", arguments: [16, 48, 128, 200, 4096, 32_768])
  func reuse(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<100 {
        let object = mutator.leaf(bytes)
        memset(object, 0xff, bytes)
        tri_free(mutator.pointer, object)
        let again = mutator.leaf(bytes)
        #expect(isZero(again, bytes))
        mutator.root(again)
        if again != object { Issue.record("\(object) was freed, \(again) handed out") }
      }
      #expect(heap.liveObjects() == 100)
    }
  }

  @Test("pairs of allocate and free need no more memory than one object and no cycle")
  func pairs() throws {
    let heap = try TestHeap { $0.growth_percent = 100 }
    try heap.attached { mutator in
      for _ in 0..<200_000 {
        let object = mutator.leaf(64)
        tri_free(mutator.pointer, object)
      }
      #expect(heap.statistics.cycles == 0)
      #expect(heap.statistics.mapped_bytes <= 2 * 65_536)
    }
  }

  @Test("spans that were freed object by object are used again before the heap grows")
  func refillOfFreed() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in [32, 144, 1024, 20_000] {
        let objects = (0..<5000).map { _ in mutator.leaf(bytes) }
        let mapped = heap.statistics.mapped_bytes
        for object in objects { tri_free(mutator.pointer, object) }
        var again = Set<UInt>()
        for _ in 0..<5000 {
          let object = mutator.leaf(bytes)
          if !isZero(object, bytes) { Issue.record("a freed slot is reused and not zero") }
          memset(object, 0xff, bytes)
          again.insert(address(object))
        }
        #expect(again.count == 5000)
        #expect(heap.statistics.mapped_bytes <= mapped + mapped / 2)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("a free from another thread gives the slot back")
  func otherThread() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in [48, 200, 100_000] {
        let objects = (0..<200).map { _ in address(mutator.leaf(bytes)) }
        tri_blocking_begin(mutator.pointer)
        TestThread {
          try! heap.attached { other in
            for object in objects { tri_free(other.pointer, Object(bitPattern: object)!) }
          }
        }.join()
        tri_blocking_end(mutator.pointer)
        for object in objects where tri_testing_is_allocated(heap.heap, Object(bitPattern: object)!) {
          Issue.record("an object of \(bytes) bytes is still there after its free")
          return
        }
        #expect(heap.liveObjects() == 0)
      }
      #expect(heap.statistics.explicitly_freed_bytes >= 200 * (48 + 200 + 100_000))
    }
  }

  @Test("a free while marking takes effect after the cycle", arguments: [32, 200, 5000, 100_000])
  func whileMarking(_ bytes: Int) throws {
    let heap = try TestHeap()
    let destroyed = Destroyed()
    let layout = try destroyed.layout(of: heap)
    try heap.attached { mutator in
      let objects = (0..<70).map { _ in mutator.object(layout, bytes) }
      let addresses = Set(objects.map { address($0) })
      let slots = objects.map { mutator.root($0) }
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      for object in objects { tri_free(mutator.pointer, object) }
      #expect(destroyed.count == 70)
      #expect(!objects.contains { tri_testing_is_allocated(heap.heap, $0) })
      var reused = (0..<140).contains { _ in addresses.contains(address(mutator.object(layout, bytes))) }
      #expect(!reused)
      // A precise root must not outlive the free.
      for slot in slots { slot.pointee = nil }
      cycle.finish()
      #expect(destroyed.count == 70)
      reused = (0..<500).contains { _ in addresses.contains(address(mutator.object(layout, bytes))) }
      #expect(reused)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("freeing a large object returns its pages at once")
  func large() throws {
    let heap = try TestHeap { $0.limit_bytes = 16 << 20 }
    try heap.attached { mutator in
      for _ in 0..<50 {
        let (status, object) = mutator.allocate(heap.leaf, 12 << 20)
        #expect(status == .ok)
        if let object { tri_free(mutator.pointer, object) }
      }
      #expect(heap.statistics.cycles == 0)
      #expect(heap.statistics.spans == 0)
    }
  }

  @Test("an object is destroyed exactly once: by the sweep, by free, or at the end of the heap")
  func destroyedOnce() throws {
    let heap = try TestHeap()
    let destroyed = Destroyed()
    let layout = try destroyed.layout(of: heap)
    for bytes in [24, 500, 30_000, 200_000] {
      let before = destroyed.count
      try heap.attached { mutator in
        for index in 0..<90 {
          let object = mutator.object(layout, bytes)
          if index % 3 == 0 { tri_free(mutator.pointer, object) }
          if index % 3 == 1 {
            // Survives in a handle until the heap ends.
            _ = tri_handle_make(mutator.pointer, object)
          }
        }
        #expect(destroyed.count - before == 30)
        heap.collector.gc(.forceBlock)
        #expect(destroyed.count - before == 60)
        heap.collector.gc(.background)
        heap.collector.gc(.forceBlock)
        #expect(destroyed.count - before == 60)
      }
    }
    heap.close()
    #expect(destroyed.count == 4 * 90)
  }

  @Test("what is alive when the heap ends is destroyed, and slots nobody was given are not")
  func destroyedAtEnd() throws {
    let heap = try TestHeap()
    let destroyed = Destroyed()
    let layout = try destroyed.layout(of: heap, .references)
    try heap.attached { mutator in
      for _ in 0..<7 { _ = mutator.object(layout, 64) }
    }
    heap.close()
    #expect(destroyed.count == 7)
  }

  @Test("dead objects are destroyed before their slots are used again, also when allocation sweeps")
  func destroyedBeforeReuse() throws {
    let heap = try TestHeap()
    let destroyed = Destroyed()
    let layout = try destroyed.layout(of: heap)
    try heap.attached { mutator in
      let objects = Set((0..<5000).map { _ in address(mutator.object(layout, 64)) })
      HandCycle(heap).forceWithoutSweeping()
      #expect(tri_testing_sweep_is_running(heap.heap))
      for _ in 0..<5000 {
        let object = mutator.object(layout, 64)
        if objects.contains(address(object)) && destroyed.count == 0 {
          Issue.record("a slot is reused before its object was destroyed")
          return
        }
      }
      #expect(destroyed.count == 5000)
    }
  }

  @Test("the statistics know what was freed explicitly")
  func statistics() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<10 { tri_free(mutator.pointer, mutator.leaf(64)) }
      for _ in 0..<3 { tri_free(mutator.pointer, mutator.leaf(1 << 20)) }
      #expect(heap.statistics.explicitly_freed_bytes == 10 * 64 + (3 << 20))
    }
    #expect(heap.statistics.explicitly_freed_bytes == 10 * 64 + (3 << 20))
  }
}
