// ResizeTests: an object that grows where it is, or stays exactly as it was. What it refuses: CrashTests.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let pageBytes = 8192
private let chunkBytes = 2 << 20
private let absurd = [Int.max, Int(bitPattern: .max), Int(bitPattern: 1 << 63), (1 << 40) + 1, 1 << 40, 1 << 39]

/// What resizing may change: the object's own size, and what the heap has counted.
private struct Extent: Equatable {
  let bytes: Int
  let mapped: UInt64
  let spans: UInt64

  init(_ heap: TestHeap, _ object: Object) {
    bytes = tri_object_bytes(heap.heap, object)
    mapped = heap.statistics.mapped_bytes
    spans = heap.statistics.spans
  }
}

/// Memory that was used and freed: all ones, `bytes` of it from `start` on, all of it inside one large object.
private func dirty(_ mutator: TestMutator, _ bytes: Int) -> Object {
  let object = mutator.leaf(bytes)
  memset(object, 0xff, bytes)
  tri_free(mutator.pointer, object)
  return object
}

/// A list that nothing keeps alive yet: for one store, before the next safepoint.
private func looseList(_ mutator: TestMutator, _ length: Int) -> Object? {
  let slot = mutator.list(length)
  defer { slot.pointee = nil }
  return slot.pointee
}

@Suite struct ResizeTests {
  // MARK: Small objects

  @Test(
    "a small object holds what its slot holds, and no more",
    arguments: [1, 15, 16, 17, 100, 128, 129, 1000, 5000, 32_767, 32_768])
  func small(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(bytes)
      let neighbour = mutator.leaf(bytes)
      let usable = tri_object_bytes(heap.heap, object)
      memset(object, 0x11, usable)
      memset(neighbour, 0x22, usable)
      let before = Extent(heap, object)
      for size in [0, 1, bytes, usable] { #expect(tri_resize(mutator.pointer, object, size)) }
      for size in [usable + 1, 2 * usable, 1 << 20] + absurd { #expect(!tri_resize(mutator.pointer, object, size)) }
      #expect(Extent(heap, object) == before)
      #expect(holds(0x11, object, usable) && holds(0x22, neighbour, usable))
    }
  }

  @Test("the empty object stays empty")
  func empty() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      #expect(tri_resize(mutator.pointer, tri_empty_object(), 0))
      for size in [1, 16, 1 << 20] + absurd { #expect(!tri_resize(mutator.pointer, tri_empty_object(), size)) }
    }
  }

  // MARK: Large objects

  @Test("a large object grows to the end of its pages for nothing")
  func withinPages() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(100_000)
      _ = mutator.leaf(100_000)  // nothing is free behind it
      memset(object, 0x11, 100_000)
      let before = Extent(heap, object)
      #expect(tri_resize(mutator.pointer, object, 50_000))
      #expect(Extent(heap, object) == before, "it never shrinks")
      #expect(tri_resize(mutator.pointer, object, 100_001))
      #expect(tri_object_bytes(heap.heap, object) == 100_016)
      #expect(tri_resize(mutator.pointer, object, 13 * pageBytes))
      #expect(tri_object_bytes(heap.heap, object) == 13 * pageBytes)
      #expect(tri_object_start(heap.heap, object + (13 * pageBytes - 1)) == object)
      #expect(heap.statistics.mapped_bytes == before.mapped)
      #expect(holds(0x11, object, 100_000))
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a large object takes the free pages behind it, and gives all of them back")
  func intoFreePages() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(40_000)
      memset(object, 0x11, 40_000)
      var bytes = 40_000
      for size in [50_000, 100_000, 400_000, 1 << 20] {
        #expect(tri_resize(mutator.pointer, object, size))
        #expect(tri_object_bytes(heap.heap, object) == size)
        for inside in [bytes, size / 2, size - 1] { #expect(tri_object_start(heap.heap, object + inside) == object) }
        #expect(tri_object_start(heap.heap, object + size) == nil)
        #expect(holds(0x11, object, bytes))
        memset(object, 0x11, size)
        bytes = size
        tri_testing_verify(heap.heap)
      }
      #expect(heap.statistics.spans == 1)
      let behind = mutator.leaf(40_000)
      #expect(behind == object + (1 << 20), "what follows lies behind it, not in it")
      tri_free(mutator.pointer, object)
      #expect(mutator.leaf(1 << 20) == object)
      #expect(heap.statistics.mapped_bytes == UInt64(1 << 20) + 5 * UInt64(pageBytes))
    }
  }

  @Test("a neighbour blocks growth, and nothing has changed; once it is freed the object grows")
  func blocked() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let first = mutator.leaf(10 * pageBytes)
      let second = mutator.leaf(10 * pageBytes)
      #expect(second == first + 10 * pageBytes)
      mutator.root(first)
      let slot = mutator.root(second)
      memset(first, 0x11, 10 * pageBytes)
      memset(second, 0x22, 10 * pageBytes)
      let before = Extent(heap, first)
      for size in [10 * pageBytes + 1, 11 * pageBytes, 30 * pageBytes] {
        #expect(!tri_resize(mutator.pointer, first, size))
        #expect(Extent(heap, first) == before)
      }
      #expect(holds(0x11, first, 10 * pageBytes) && holds(0x22, second, 10 * pageBytes))
      #expect(tri_object_start(heap.heap, second) == second)
      #expect(heap.liveObjects() == 2)
      slot.pointee = nil
      tri_free(mutator.pointer, second)
      #expect(tri_resize(mutator.pointer, first, 20 * pageBytes))
      #expect(heap.liveObjects() == 1)
      #expect(heap.statistics.live_bytes == UInt64(20 * pageBytes))
    }
  }

  @Test("what a cycle found dead behind an object is free before the sweep has come by")
  func unswept() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(10 * pageBytes)
      _ = mutator.leaf(10 * pageBytes)
      mutator.root(object)
      HandCycle(heap).forceWithoutSweeping()
      #expect(tri_testing_sweep_is_running(heap.heap))
      #expect(tri_resize(mutator.pointer, object, 20 * pageBytes))
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("an object inside a chunk stays in it")
  func insideChunk() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let filler = mutator.leaf(1 << 20)
      let object = mutator.leaf(1 << 19)
      #expect(address(filler) == mutator.pointer.pointee.heap_start)
      #expect(object == filler + (1 << 20))
      #expect(!tri_resize(mutator.pointer, object, (1 << 20) + 1))
      #expect(tri_object_bytes(heap.heap, object) == 1 << 19)
      #expect(tri_resize(mutator.pointer, object, 1 << 20))
      #expect(!tri_resize(mutator.pointer, object, (1 << 20) + 1))
      tri_testing_verify(heap.heap)
    }
  }

  @Test("an object at the start of a chunk grows over its end", arguments: [1 << 20, chunkBytes, 3 << 20])
  func acrossChunks(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(bytes)
      #expect(address(object) % UInt(chunkBytes) == 0)
      for size in [chunkBytes, chunkBytes + 1, 5 << 20, (9 << 20) + 17] where size > bytes {
        #expect(tri_resize(mutator.pointer, object, size))
        #expect(tri_object_start(heap.heap, object + size - 1) == object)
        tri_testing_verify(heap.heap)
      }
      mutator.root(object)
      #expect(heap.liveObjects() == 1)
      tri_free(mutator.pointer, object)
      #expect(mutator.leaf(9 << 20) == object)
    }
  }

  @Test("the limit holds for growth too, and exactly")
  func limit() throws {
    let heap = try TestHeap { $0.limit_bytes = 8 << 20 }
    try heap.attached { mutator in
      let object = mutator.leaf(4 << 20)
      let other = mutator.leaf(1 << 20)  // behind what comes
      let before = Extent(heap, object)
      #expect(!tri_resize(mutator.pointer, object, (7 << 20) + 1))
      #expect(Extent(heap, object) == before)
      tri_free(mutator.pointer, other)
      #expect(!tri_resize(mutator.pointer, object, (8 << 20) + 1))
      #expect(tri_resize(mutator.pointer, object, 8 << 20))
      #expect(heap.statistics.cycles == 0)
    }
  }

  @Test("sizes beyond every heap are refused and change nothing")
  func tooLarge() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(100_000)
      let before = Extent(heap, object)
      for size in absurd + [256 << 20, (256 << 20) + 1] { #expect(!tri_resize(mutator.pointer, object, size)) }
      #expect(Extent(heap, object) == before)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a small object that is large for its alignment grows into its pages")
  func aligned() throws {
    let heap = try TestHeap()
    let layout = try heap.layout {
      $0.form = .mask
      $0.prefix_words = 64
      $0.prefix_mask = .max
    }
    try heap.attached { mutator in
      _ = dirty(mutator, 5 * pageBytes)
      let object = try #require(mutator.allocate(layout, 16, alignment: 65_536).object)
      mutator.root(object)
      #expect(tri_object_bytes(heap.heap, object) == 16)
      #expect(tri_resize(mutator.pointer, object, 1000))
      #expect(isZero(object, 512), "every word that may be a reference")
      mutator.store(looseList(mutator, 3), in: object, at: 63)
      #expect(tri_object_bytes(heap.heap, object) == 1008)
      #expect(heap.liveObjects() == 4)
    }
  }

  // MARK: What is added

  private static func forms(_ heap: TestHeap) throws -> [OpaquePointer] {
    [
      heap.references, heap.conservative,
      try heap.layout {
        $0.form = .mask
        $0.period_words = 2
        $0.period_mask = 2
      },
      try heap.layout {
        $0.form = .custom
        $0.trace = { object, bytes, visitor, _ in
          for word in 0..<bytes / 8 { tri_visit(visitor, object.load(fromByteOffset: word * 8, as: Object?.self)) }
        }
      },
    ]
  }

  @Test(
    "new words of an object with references are zero, keep what they hold alive, and nothing else", arguments: 0..<4)
  func tail(_ form: Int) throws {
    let heap = try TestHeap()
    let layout = try ResizeTests.forms(heap)[form]
    try heap.attached { mutator in
      let list = mutator.list(5)  // so that the lists below take no new span behind the object
      list.pointee = nil
      // In the object's own last page, then in pages behind it.
      let place = dirty(mutator, 1 << 20)
      let object = mutator.object(layout, 100_000)
      #expect(object == place)
      mutator.root(object)
      var bytes = 100_000
      var kept: UInt64 = 1
      for size in [100_096, 13 * pageBytes, 500_000, 1 << 20] {
        guard tri_resize(mutator.pointer, object, size), isZero(object + bytes, size - bytes) else {
          Issue.record("it does not grow to \(size) bytes, or what was added is not zero")
          return
        }
        // The first odd word of the tail and the last word.
        for word in [bytes / 8 | 1, size / 8 - 1] {
          mutator.store(looseList(mutator, 5), in: object, at: word)
          kept += 5
        }
        bytes = size
        for mode in [Mode.background, .force, .forceBlock] { #expect(heap.liveObjects(after: mode) == kept) }
      }
    }
  }

  @Test("beyond four GiB new words are zero as well")
  func huge() throws {
    let heap = try TestHeap {
      $0.reservation_bytes = 16 << 30
      $0.verify = 0
    }
    try heap.attached { mutator in
      // None of these pages is touched but the last ones.
      let bytes = (4 << 30) + (1 << 20)
      let object = mutator.object(heap.references, bytes)
      let behind = dirty(mutator, 1 << 19)
      #expect(behind == object + bytes)
      try #require(tri_resize(mutator.pointer, object, bytes + (1 << 19)))
      #expect(isZero(object + bytes, 1 << 19))
      tri_free(mutator.pointer, object)
    }
  }

  @Test("a destroy callback is told the new size")
  func destroy() throws {
    let heap = try TestHeap()
    let sizes = Counter()
    heap.keep(sizes)
    let layout = try heap.layout {
      $0.form = .leaf
      $0.context = Unmanaged.passUnretained(sizes).toOpaque()
      $0.destroy = { object, bytes, context in
        // A destroy callback is promised what was written, or zeros.
        if object.load(fromByteOffset: bytes - 8, as: UInt64.self) != 0 { Issue.record("the tail is not zero") }
        Unmanaged<Counter>.fromOpaque(context!).takeUnretainedValue().add(bytes)
      }
    }
    try heap.attached { mutator in
      for isFreed in [true, false] {
        _ = dirty(mutator, 1 << 20)
        let object = mutator.object(layout, 40_000)
        #expect(tri_resize(mutator.pointer, object, 300_000))
        let before = sizes.count
        if isFreed { tri_free(mutator.pointer, object) } else { #expect(heap.liveObjects() == 0) }
        #expect(sizes.count - before == 300_000)
      }
    }
  }

  // MARK: Cycles

  private enum Moment: CaseIterable {
    case begun, scanned, marked
  }

  @Test("growth while a cycle marks: what is moved into the new words survives", arguments: Moment.allCases)
  private func whileMarking(_ moment: Moment) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let origin = mutator.node()
      _ = dirty(mutator, 1 << 20)
      let object = mutator.node(100_000 / 8)
      mutator.root(object)
      mutator.root(origin)
      mutator.store(looseList(mutator, 10), in: origin)
      let cycle = HandCycle(heap)
      cycle.begin()
      if moment != .begun { cycle.scan() }
      if moment == .marked { cycle.mark() }
      guard tri_resize(mutator.pointer, object, 1 << 20), isZero(object + 100_000, (1 << 20) - 100_000) else {
        Issue.record("it does not grow, or what is added is not zero")
        cycle.finish()
        return
      }
      mutator.store(reference(origin), in: object, at: (1 << 17) - 1)
      mutator.store(nil, in: origin)
      mutator.store(looseList(mutator, 7), in: object, at: 100_000 / 8)
      if moment == .begun { cycle.scan() }
      if moment != .marked { cycle.mark() }
      cycle.finish()
      #expect(listLength(reference(object, at: (1 << 17) - 1)) == 10)
      #expect(listLength(reference(object, at: 100_000 / 8)) == 7)
      #expect(heap.liveObjects() == 2 + 10 + 7)
    }
  }

  @Test("an object born in a cycle grows in it, and is alive after it")
  func bornWhileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      _ = dirty(mutator, 1 << 20)
      let cycle = HandCycle(heap)
      cycle.begin()
      let object = mutator.node(50_000 / 8)
      mutator.root(object)
      #expect(tri_resize(mutator.pointer, object, 200_000))
      mutator.store(looseList(mutator, 10), in: object, at: 200_000 / 8 - 1)
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(listLength(reference(object, at: 200_000 / 8 - 1)) == 10)
      #expect(heap.liveObjects() == 11)
    }
  }

  @Test("objects grow while another thread collects in a loop", arguments: [tri_barrier_policy.hybrid, .dijkstra])
  func beside(_ barrier: tri_barrier_policy) throws {
    let heap = try TestHeap { $0.barrier = barrier }
    let done = Flag()
    let grew = Flag()
    let collecting = TestThread {
      // However late the other thread comes to run, it grows something beside cycles.
      var round = 0
      while round < 40 || !grew.isSet && !done.isSet {
        heap.collector.gc([Mode.background, .background, .force, .forceBlock][round % 4])
        round += 1
      }
      done.set()
    }
    var grown = 0
    var random = Random(11)
    try heap.attached { mutator in
      let slot = mutator.root(nil)
      while !done.isSet {
        _ = dirty(mutator, 300_000)
        slot.pointee = mutator.node(5000 + random.below(1000))
        var words = tri_object_bytes(heap.heap, slot.pointee!) / 8
        var lists: [Int] = []
        for _ in 0..<8 {
          let wanted = words + 1 + random.below(4000)
          guard tri_resize(mutator.pointer, slot.pointee!, wanted * 8) else { break }
          mutator.store(looseList(mutator, 20), in: slot.pointee!, at: wanted - 1)
          lists.append(wanted - 1)
          words = tri_object_bytes(heap.heap, slot.pointee!) / 8
          grown += 1
          if grown > 20 { grew.set() }
          tri_safepoint(mutator.pointer)
        }
        for word in lists where listLength(reference(slot.pointee!, at: word)) != 20 {
          Issue.record("a list in word \(word) is not what it was")
          done.set()
          break
        }
        if random.below(2) == 0 {
          tri_free(mutator.pointer, slot.pointee!)
          slot.pointee = nil
        }
      }
    }
    collecting.join()
    #expect(grown > 20)
    #expect(heap.liveObjects() == 0)
  }

  // MARK: Statistics

  @Test("what was added counts as allocated, as live and as freed")
  func statistics() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(100_000)
      mutator.root(object)
      heap.collect()
      let before = heap.statistics
      #expect(before.live_bytes == UInt64(13 * pageBytes))
      #expect(tri_resize(mutator.pointer, object, 13 * pageBytes))
      #expect(tri_resize(mutator.pointer, object, 20 * pageBytes - 100))
      #expect(!tri_resize(mutator.pointer, object, .max))
      heap.collect()
      #expect(heap.statistics.allocated_bytes - before.allocated_bytes == UInt64(7 * pageBytes))
      #expect(heap.statistics.live_bytes == UInt64(20 * pageBytes))
      #expect(heap.statistics.live_objects == 1)
      tri_free(mutator.pointer, object)
      #expect(heap.statistics.explicitly_freed_bytes == UInt64(20 * pageBytes - 96))
      #expect(heap.statistics.spans == 0)
    }
  }
}

/// Whether every byte is this one.
private func holds(_ byte: UInt8, _ object: Object, _ bytes: Int) -> Bool {
  UnsafeRawBufferPointer(start: object, count: bytes).allSatisfy { $0 == byte }
}
