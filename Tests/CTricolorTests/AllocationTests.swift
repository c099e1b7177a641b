// AllocationTests: every size, alignment and refusal of the allocating calls.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct AllocationTests {
  private static let sizeClasses = Array(0..<UInt32(TRI_SIZE_CLASS_COUNT))

  // MARK: Slots

  /// Fills a few spans of one class; the objects, each filled with ones.
  private func fill(_ count: Int, _ bytes: Int, allocate: () -> Object?) throws -> Set<UInt> {
    var objects = Set<UInt>()
    for _ in 0..<count {
      let object = try #require(allocate())
      #expect(address(object) % 16 == 0)
      if !objects.insert(address(object)).inserted { Issue.record("\(object) was handed out twice") }
      memset(object, 0xff, bytes)
    }
    let sorted = objects.sorted()
    for (one, next) in zip(sorted, sorted.dropFirst()) where next - one < bytes {
      Issue.record("objects of \(bytes) bytes overlap")
      break
    }
    return objects
  }

  private func count(_ sizeClass: UInt32) -> Int {
    3 * Int(tri_testing_span_bytes(sizeClass) / tri_size_class_bytes(sizeClass))
  }

  @Test("the slots of several spans are distinct, and zero again when they are reused", arguments: sizeClasses)
  func slots(_ sizeClass: UInt32) throws {
    let heap = try TestHeap()
    let bytes = Int(tri_size_class_bytes(sizeClass))
    let count = count(sizeClass)
    try heap.attached { mutator in
      let first = try fill(count, bytes) { tri_alloc(mutator.pointer, heap.references, bytes) }
      #expect(heap.liveObjects() == 0)
      let mapped = heap.statistics.mapped_bytes
      var again = Set<UInt>()
      for _ in 0..<count {
        let object = mutator.object(heap.references, bytes)
        again.insert(address(object))
        guard isZero(object, bytes) else {
          Issue.record("a reused slot of \(bytes) bytes is not zero")
          return
        }
      }
      #expect(again == first)
      #expect(heap.statistics.mapped_bytes == mapped)
    }
  }

  @Test("a fragmented class hands out only what is free", arguments: sizeClasses)
  func fragments(_ sizeClass: UInt32) throws {
    let heap = try TestHeap()
    let bytes = Int(tri_size_class_bytes(sizeClass))
    let count = count(sizeClass)
    let table = try heap.layout { $0.form = .references }
    try heap.attached { mutator in
      // Every third object stays, in a table; they carry their number.
      let keep = mutator.object(table, (count / 3 + 1) * 8)
      mutator.root(keep)
      for index in 0..<count {
        let object = mutator.leaf(bytes)
        memset(object, 0xff, bytes)
        object.storeBytes(of: index, as: Int.self)
        if index % 3 == 0 { mutator.store(object, in: keep, at: index / 3) }
      }
      let kept = UInt64((count + 2) / 3)
      #expect(heap.liveObjects() == kept + 1)
      for _ in 0..<(count - Int(kept)) {
        let object = mutator.leaf(bytes)
        if !isZero(object, bytes) { Issue.record("a reused slot of \(bytes) bytes is not zero") }
        memset(object, 0xee, bytes)
      }
      for index in stride(from: 0, to: count, by: 3)
      where reference(keep, at: index / 3)!.load(as: Int.self) != index {
        Issue.record("object \(index) of \(bytes) bytes was overwritten")
        return
      }
      #expect(heap.liveObjects() == kept + 1)
    }
  }

  @Test("an uninitialised leaf is an object of its own", arguments: sizeClasses)
  func uninitialised(_ sizeClass: UInt32) throws {
    let heap = try TestHeap()
    let bytes = Int(tri_size_class_bytes(sizeClass))
    let count = count(sizeClass)
    try heap.attached { mutator in
      let first = try fill(count, bytes) { tri_alloc_leaf_uninitialized(mutator.pointer, bytes) }
      #expect(first.allSatisfy { tri_testing_is_allocated(heap.heap, Object(bitPattern: $0)!) })
      #expect(heap.liveObjects() == 0)
      let again = try fill(count, bytes) { tri_alloc_leaf_uninitialized(mutator.pointer, bytes) }
      #expect(again == first)
    }
  }

  @Test("zeroed and uninitialised leaves of one size do not share slots")
  func bothWindows() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in [16, 48, 128] {
        var zeroed = true
        _ = try fill(5000, bytes) {
          zeroed.toggle()
          if zeroed { return tri_alloc_leaf_uninitialized(mutator.pointer, bytes) }
          let object = mutator.leaf(bytes)
          if !isZero(object, bytes) { Issue.record("a leaf of \(bytes) bytes is not zero") }
          return object
        }
      }
    }
  }

  @Test("a type's objects are zeroed, also in reused slots")
  func types() throws {
    let heap = try TestHeap()
    let type = try heap.type(heap.references, bytes: 40)
    try heap.attached { mutator in
      for _ in 0..<3 {
        for _ in 0..<5000 {
          let object = tri_new(mutator.pointer, type, 40)!
          if !isZero(object, 48) { Issue.record("a new object is not zero") }
          memset(object, 0xff, 40)
        }
        #expect(heap.liveObjects() == 0)
      }
    }
  }

  @Test("every size from 1 to 33000 gives that many bytes of one's own")
  func everySize() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in stride(from: 1, through: 33_000, by: 7) {
        let object = mutator.leaf(bytes)
        let usable = tri_object_bytes(heap.heap, object)
        guard usable >= bytes, isZero(object, usable), tri_object_start(heap.heap, object + bytes - 1) == object else {
          Issue.record("size \(bytes): \(usable) usable")
          return
        }
        memset(object, 0xff, usable)
      }
      tri_testing_verify(heap.heap)
    }
  }

  // MARK: Size 0

  @Test("size 0 is one shared object, whatever asks for it")
  func sizeZero() throws {
    let heap = try TestHeap()
    let other = try TestHeap()
    try heap.attached { mutator in
      let empty = tri_empty_object()
      #expect(tri_alloc(mutator.pointer, heap.leaf, 0) == empty)
      #expect(tri_alloc(mutator.pointer, heap.references, 0) == empty)
      #expect(tri_alloc_leaf_uninitialized(mutator.pointer, 0) == empty)
      #expect(mutator.allocate(heap.leaf, 0, alignment: 4096).object == empty)
      var array: Object?
      #expect(tri_allocate_array(mutator.pointer, heap.references, 0, 8, &array) == .ok && array == empty)
      array = nil
      #expect(tri_allocate_array(mutator.pointer, heap.references, .max, 0, &array) == .ok && array == empty)
      try other.attached { #expect(tri_alloc($0.pointer, other.leaf, 0) == empty) }
      #expect(tri_object_bytes(heap.heap, empty) == 0)
      #expect(tri_object_layout(heap.heap, empty) == heap.leaf)
      #expect(tri_object_start(heap.heap, empty) == nil)
      #expect(!tri_is_mine(mutator.pointer, empty))
    }
  }

  @Test("the empty object is freed, rooted and stored without effect")
  func sizeZeroEverywhere() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let empty = tri_empty_object()
      tri_free(mutator.pointer, empty)
      tri_free(mutator.pointer, empty)
      tri_free(mutator.pointer, nil)
      let node = mutator.node()
      mutator.root(node)
      let slot = mutator.root(empty)
      mutator.store(empty, in: node)
      let handle = tri_handle_make(mutator.pointer, empty)!
      #expect(heap.liveObjects(after: .background) == 1)
      #expect(heap.liveObjects(after: .forceBlock) == 1)
      #expect(slot.pointee == empty && reference(node) == empty && tri_handle_get(handle) == empty)
      tri_handle_free(mutator.pointer, handle)
    }
  }

  // MARK: Large objects

  @Test(
    "a large object is zero, whole pages, found from inside, freed by the next cycle and reused as zero",
    arguments: [32_769, 40_000, 65_536, 1 << 20, (1 << 21) - 8, 1 << 21, (3 << 20) + 17, 100 << 20])
  func large(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      var mapped: UInt64 = 0
      for round in 0..<3 {
        let object = mutator.leaf(bytes)
        #expect(address(object) % 8192 == 0)
        let usable = tri_object_bytes(heap.heap, object)
        #expect(usable >= bytes && usable < bytes + 16)
        #expect(object.load(as: UInt64.self) == 0)
        #expect(isZero(object + bytes / 2 / 8 * 8, 4096))
        #expect(isZero(object + (usable - 4096), 4096))
        for inside in [1, 4096, bytes / 2, bytes - 1] {
          #expect(tri_object_start(heap.heap, object + inside) == object)
        }
        memset(object, 0xff, bytes)
        let slot = mutator.root(object)
        #expect(heap.liveObjects() == 1)
        slot.pointee = nil
        #expect(heap.liveObjects() == 0)
        #expect(heap.statistics.live_bytes == 0)
        #expect(tri_object_start(heap.heap, object) == nil)
        if round == 0 { mapped = heap.statistics.mapped_bytes }
        #expect(heap.statistics.mapped_bytes == mapped)
      }
    }
  }

  @Test("large objects of many sizes come and go without overlap")
  func largeMix() throws {
    let heap = try TestHeap()
    var random = Random(3)
    try heap.attached { mutator in
      var slots: [(slot: Slot, bytes: Int, tag: UInt8)] = []
      for step in 0..<400 {
        let tag = UInt8(step & 0xff)
        let bytes = 32_769 + random.below(random.below(4) == 0 ? 5 << 20 : 200_000)
        if let object = tri_alloc(mutator.pointer, heap.leaf, bytes) {
          memset(object, Int32(tag), bytes)
          slots.append((mutator.root(object), bytes, tag))
        }
        while slots.count > 20 {
          let victim = slots.remove(at: random.below(slots.count))
          let object = victim.slot.pointee!
          for at in [0, victim.bytes / 2, victim.bytes - 1]
          where object.load(fromByteOffset: at, as: UInt8.self) != victim.tag {
            Issue.record("a large object was overwritten")
            return
          }
          victim.slot.pointee = nil
          if random.below(2) == 0 { tri_free(mutator.pointer, object) }
        }
        if step % 50 == 49 { #expect(heap.liveObjects() == UInt64(slots.count)) }
      }
    }
  }

  // MARK: Alignment

  @Test(
    "an object starts at a multiple of its alignment",
    arguments: (0...16).map { 1 << $0 }, [1, 16, 100, 129, 4096, 32_768, 32_769, 70_000, 3 << 20])
  func alignment(_ alignment: Int, _ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for _ in 0..<8 {
        let (status, object) = mutator.allocate(heap.leaf, bytes, alignment: alignment)
        guard status == .ok, let object else {
          Issue.record("\(status)")
          return
        }
        #expect(address(object) % UInt(max(alignment, 16)) == 0)
        #expect(tri_object_bytes(heap.heap, object) >= bytes)
        #expect(tri_object_start(heap.heap, object + bytes - 1) == object)
        memset(object, 0xff, bytes)
        mutator.root(object)
      }
      #expect(heap.liveObjects() == 8)
    }
  }

  @Test("small objects at the largest alignment and ordinary large objects lie side by side")
  func alignedNeighbours() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      try heap.attached { mutator in
        var roots: UInt64 = 0
        for bytes in [40_000, 33_000, 50_000, 100_000] {
          for alignment in [65_536, 16] {
            for size in [16, 100, 9000, bytes] {
              mutator.root(mutator.allocate(heap.leaf, size, alignment: alignment).object)
              roots += 1
            }
          }
        }
        #expect(heap.liveObjects() == roots)
      }
    }
  }

  @Test(
    "an alignment that is no power of two, or too large, is refused",
    arguments: [0, 3, 24, 48, 65_537, 131_072, Int.max])
  func badAlignment(_ alignment: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in [0, 1, 100, 100_000] {
        var object: Object? = Object(bitPattern: 0x40)
        #expect(tri_allocate(mutator.pointer, heap.leaf, bytes, alignment, &object) == .badAlignment)
        #expect(object == Object(bitPattern: 0x40))
      }
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: Refusals

  @Test("sizes beyond every heap are refused without harm")
  func tooLarge() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(16)
      mutator.root(object)
      for bytes in [Int(bitPattern: .max), .max, .max - 15, Int(bitPattern: 1 << 63), (1 << 40) + 1] {
        #expect(mutator.allocate(heap.leaf, bytes).status == .tooLarge)
        #expect(tri_alloc(mutator.pointer, heap.leaf, bytes) == nil)
        #expect(tri_alloc_leaf_uninitialized(mutator.pointer, bytes) == nil)
      }
      // What this heap's whole reservation could not hold, and what it just cannot.
      #expect(mutator.allocate(heap.leaf, 1 << 40).status == .tooLarge)
      #expect(mutator.allocate(heap.leaf, 257 << 20).status == .tooLarge)
      #expect(mutator.allocate(heap.leaf, 256 << 20).status == .limitReached)
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("an array whose size overflows is refused")
  func arrayOverflow() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for (count, element) in [(Int.max, 3), (1 << 33, 1 << 33), (1 << 61, 8), (Int(bitPattern: .max), 2)] {
        var object: Object? = Object(bitPattern: 0x40)
        #expect(tri_allocate_array(mutator.pointer, heap.leaf, count, element, &object) == .tooLarge)
        #expect(object == Object(bitPattern: 0x40))
      }
      var object: Object?
      #expect(tri_allocate_array(mutator.pointer, heap.references, 1000, 8, &object) == .ok)
      #expect(tri_object_bytes(heap.heap, object!) >= 8000)
    }
  }

  @Test(
    "at its limit a heap answers a status, and goes on when something is dropped",
    arguments: [48, 1000, 30_000, 100_000])
  func limit(_ bytes: Int) throws {
    let limit = 8 << 20
    let heap = try TestHeap { $0.limit_bytes = UInt64(limit) }
    try heap.attached { mutator in
      // A list through the first word: one root holds everything.
      let head = mutator.root(nil)
      var count = 0
      var status = tri_status.ok
      func grow() {
        while true {
          let (answer, object) = mutator.allocate(heap.references, bytes)
          status = answer
          guard let object else { return }
          mutator.store(head.pointee, in: object)
          head.pointee = object
          count += 1
        }
      }
      grow()
      #expect(status == .limitReached)
      #expect(count * bytes > limit / 2 && count * bytes <= limit)
      #expect(tri_alloc(mutator.pointer, heap.references, bytes) == nil)
      #expect(listLength(head.pointee) == count)
      // Half of it goes.
      for _ in 0..<count / 2 { head.pointee = reference(head.pointee!) }
      let half = count - count / 2
      #expect(heap.liveObjects() == UInt64(half))
      count = half
      grow()
      #expect(status == .limitReached)
      #expect(count > half + half / 2)
      #expect(listLength(head.pointee) == count)
    }
  }

  @Test("a class keeps the spans that it used and that are empty for one cycle, unless it is to make room")
  func emptySpansKept() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for mode in [tri_mode.background, .force, .forceBlock] {
        for _ in 0..<(1 << 20) / 128 { _ = mutator.leaf(128) }
        #expect(heap.statistics.spans == 16)
        heap.collect(mode)
        #expect(heap.statistics.spans == (mode == .forceBlock ? 0 : 16))
        heap.collect(mode)
        #expect(heap.statistics.spans == 0)
      }
    }
  }

  @Test("at its limit a heap gives the empty spans of one class to others", arguments: [64, 3000, 100_000])
  func emptySpansAtTheLimit(_ bytes: Int) throws {
    let heap = try TestHeap { $0.limit_bytes = 1 << 20 }
    try heap.attached { mutator in
      for _ in 0..<10 {
        for _ in 0..<(1 << 20) / 128 { #expect(tri_alloc_leaf(mutator.pointer, 128) != nil) }
        #expect(mutator.allocate(heap.references, bytes).status == .ok)
      }
    }
  }

  @Test("a heap whose reservation is full answers a status")
  func reservationFull() throws {
    let heap = try TestHeap { $0.reservation_bytes = 16 << 20 }
    try heap.attached { mutator in
      let head = mutator.root(nil)
      var bytes = 0
      while let object = tri_alloc(mutator.pointer, heap.references, 4096) {
        mutator.store(head.pointee, in: object)
        head.pointee = object
        bytes += 4096
      }
      #expect(bytes > 15 << 20)
      #expect(mutator.allocate(heap.leaf, 4096).status == .limitReached)
      #expect(mutator.allocate(heap.leaf, 1 << 20).status == .limitReached)
      #expect(listLength(head.pointee) == bytes / 4096)
      head.pointee = nil
      #expect(mutator.allocate(heap.leaf, 4 << 20).status == .ok)
    }
  }
}
