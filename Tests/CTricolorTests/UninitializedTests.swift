// UninitializedTests: tri_alloc_uninitialized() clears what a marker may look at, and shows what was there elsewhere.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

/// What a test asks for: a layout, and up to where its objects are zero (nil: to the end).
struct Shape: Sendable, CustomTestStringConvertible {
  let name: String
  let zeroBytes: Int?
  let make: @Sendable (TestHeap) throws -> OpaquePointer
  var testDescription: String { name }

  static func prefix(_ words: UInt32, _ mask: UInt64) -> Shape {
    Shape(name: "\(words) words, mask \(String(mask, radix: 16))", zeroBytes: 8 * (64 - mask.leadingZeroBitCount)) {
      try $0.layout {
        $0.form = .mask
        $0.prefix_words = words
        $0.prefix_mask = mask
      }
    }
  }

  static let prefixes = [
    prefix(1, 1), prefix(2, 1), prefix(2, 2), prefix(2, 3), prefix(3, 4), prefix(3, 7), prefix(8, 1), prefix(8, 0x80),
    prefix(8, 0xff), prefix(64, 1), prefix(64, 1 << 20), prefix(64, 1 << 63), prefix(64, .max),
  ]

  static let whole = [
    Shape(name: "references", zeroBytes: nil) { $0.references },
    Shape(name: "conservative", zeroBytes: nil) { $0.conservative },
    Shape(name: "a period", zeroBytes: nil) {
      try $0.layout {
        $0.form = .mask
        $0.prefix_words = 1
        $0.period_words = 4
        $0.period_mask = 8
      }
    },
    Shape(name: "custom", zeroBytes: nil) {
      try $0.layout {
        $0.form = .custom
        $0.trace = { _, _, _, _ in }
      }
    },
    Shape(name: "a leaf with a destroy callback", zeroBytes: nil) {
      try $0.layout {
        $0.form = .leaf
        $0.destroy = { _, _, _ in }
      }
    },
    Shape(name: "a mask with a destroy callback", zeroBytes: nil) {
      try $0.layout {
        $0.form = .mask
        $0.prefix_words = 2
        $0.prefix_mask = 1
        $0.destroy = { _, _, _ in }
      }
    },
  ]

  static let leaves = [
    Shape(name: "leaf", zeroBytes: 0) { $0.leaf },
    Shape(name: "a mask of nothing", zeroBytes: 0) {
      try $0.layout {
        $0.form = .mask
        $0.prefix_words = 3
        $0.period_words = 2
      }
    },
  ]
}

private let sizes = [1, 16, 17, 40, 64, 128, 129, 500, 520, 2048, 5000, 32_768]

@Suite struct UninitializedTests {
  /// Whether an object made of memory full of ones is zero where it has to be, and untouched where it may be.
  private func isAsPromised(_ object: Object, _ usable: Int, _ shape: Shape) -> Bool {
    guard let zeroBytes = shape.zeroBytes else { return isZero(object, usable) }
    let zero = min(zeroBytes, usable)
    let free = min(max(zeroBytes, 16), usable)  // it may clear the first two words of any
    return isZero(object, zero)
      && UnsafeRawBufferPointer(start: object + free, count: usable - free).allSatisfy { $0 == 0xff }
  }

  @Test("a slot that was just freed", arguments: Shape.prefixes + Shape.whole + Shape.leaves, sizes)
  func freed(_ shape: Shape, _ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try shape.make(heap)
    try heap.attached { mutator in
      let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
      let usable = tri_object_bytes(heap.heap, object)
      #expect(tri_object_layout(heap.heap, object) == layout && usable >= bytes)
      memset(object, 0xff, usable)
      tri_free(mutator.pointer, object)
      let again = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
      if again == object { #expect(isAsPromised(again, usable, shape)) }
      // Where there is a destroy callback the slot comes back by another way.
      if !shape.name.contains("destroy") { #expect(again == object) }
      memset(again, 0xff, usable)
    }
  }

  @Test("slots that a cycle found dead", arguments: Shape.prefixes + Shape.whole + Shape.leaves, sizes)
  func collected(_ shape: Shape, _ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try shape.make(heap)
    try heap.attached { mutator in
      let usable = Int(tri_size_class_bytes(tri_size_class(bytes)))
      let count = Int(tri_testing_span_bytes(tri_size_class(bytes))) / usable
      var first = Set<UInt>()
      for _ in 0..<count {
        let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
        memset(object, 0xff, usable)
        first.insert(address(object))
      }
      #expect(heap.liveObjects() == 0)
      var reused = 0
      for _ in 0..<count {
        let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
        guard first.contains(address(object)) else { continue }
        reused += 1
        if !isAsPromised(object, usable, shape) {
          Issue.record("\(object) of \(bytes) bytes is not as promised")
          return
        }
      }
      #expect(reused == count)
    }
  }

  @Test("slots that wait in a magazine", arguments: Shape.prefixes + Shape.leaves, [40, 129, 520])
  func kept(_ shape: Shape, _ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try shape.make(heap)
    try heap.attached { mutator in
      let usable = Int(tri_size_class_bytes(tri_size_class(bytes)))
      let objects = (0..<300).map { _ in tri_alloc_uninitialized(mutator.pointer, layout, bytes)! }
      let window = mutator.window(layout, bytes, zeroed: false)
      while tri_testing_waiting_slots(window) != 0 { _ = tri_alloc_uninitialized(mutator.pointer, layout, bytes) }
      for object in objects[0..<10] {
        memset(object, 0xff, usable)
        tri_free(mutator.pointer, object)
      }
      for object in objects[0..<10].reversed() {
        let again = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
        #expect(again == object)
        #expect(isAsPromised(again, usable, shape))
      }
    }
  }

  @Test("large objects", arguments: Shape.prefixes + Shape.whole + Shape.leaves, [32_769, 100_000, 3 << 20])
  func large(_ shape: Shape, _ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try shape.make(heap)
    try heap.attached { mutator in
      let before = mutator.leaf(bytes)
      let usable = tri_object_bytes(heap.heap, before)
      memset(before, 0xff, usable)
      tri_free(mutator.pointer, before)
      let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
      #expect(object == before && tri_object_bytes(heap.heap, object) == usable)
      #expect(tri_object_layout(heap.heap, object) == layout)
      #expect(isAsPromised(object, usable, shape))
      mutator.root(object)
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("size 0 is the empty object, and sizes beyond every heap are refused")
  func refused() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for shape in Shape.prefixes + Shape.whole + Shape.leaves {
        let layout = try shape.make(heap)
        #expect(tri_alloc_uninitialized(mutator.pointer, layout, 0) == tri_empty_object())
        for bytes in [Int(bitPattern: .max), .max, .max - 15, (1 << 40) + 1, 1 << 40, 257 << 20] {
          #expect(tri_alloc_uninitialized(mutator.pointer, layout, bytes) == nil)
        }
      }
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("at the limit it answers nothing, and goes on when something is dropped", arguments: [64, 5000, 100_000])
  func limit(_ bytes: Int) throws {
    let heap = try TestHeap { $0.limit_bytes = 4 << 20 }
    let layout = try Shape.prefix(2, 1).make(heap)
    try heap.attached { mutator in
      let head = mutator.root(nil)
      var count = 0
      while let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes) {
        #expect(reference(object) == nil)
        tri_init(mutator.pointer, object, object, head.pointee)
        head.pointee = object
        count += 1
      }
      #expect(count * bytes > 2 << 20)
      #expect(listLength(head.pointee) == count)
      head.pointee = nil
      #expect(tri_alloc_uninitialized(mutator.pointer, layout, bytes) != nil)
    }
  }

  // MARK: Cycles

  /// A list through the first of eight words; the last six are data that reads like references to what is dead.
  private func append(_ mutator: TestMutator, _ layout: OpaquePointer, _ bytes: Int, _ head: Slot, _ lure: UInt) {
    let object = tri_alloc_uninitialized(mutator.pointer, layout, bytes)!
    if reference(object) != nil || reference(object, at: 1) != nil { Issue.record("a reference is not zero") }
    for word in 2..<tri_object_bytes(mutator.heap, object) / 8 {
      object.storeBytes(of: lure, toByteOffset: word * 8, as: UInt.self)
    }
    tri_init(mutator.pointer, object, object, head.pointee)
    head.pointee = object
  }

  @Test(
    "data that reads like references keeps nothing alive and is never followed",
    arguments: [Mode.background, .force, .forceBlock], [64, 1000, 40_000])
  func stale(_ mode: Mode, _ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try Shape.prefix(2, 3).make(heap)
    try heap.attached { mutator in
      let head = mutator.root(nil)
      let count = bytes > 32_768 ? 20 : 300
      var lure = address(mutator.node())
      for round in 0..<6 {
        for _ in 0..<count {
          append(mutator, layout, bytes, head, lure)
          lure = address(mutator.node(4)) + (round % 2 == 0 ? 0 : 8)
        }
        #expect(heap.liveObjects(after: mode) == UInt64(count))
        #expect(listLength(head.pointee) == count)
        head.pointee = nil
      }
      #expect(heap.liveObjects(after: mode) == 0)
    }
  }

  @Test("so it is while a cycle marks", arguments: [64, 1000, 40_000])
  func whileMarking(_ bytes: Int) throws {
    let heap = try TestHeap()
    let layout = try Shape.prefix(2, 3).make(heap)
    try heap.attached { mutator in
      let head = mutator.root(nil)
      // Dead, but what their memory held is what the next ones will show.
      for _ in 0..<200 { append(mutator, layout, bytes, head, address(head.pointee)) }
      head.pointee = nil
      #expect(heap.liveObjects() == 0)
      let cycle = HandCycle(heap)
      let lure = address(mutator.node())
      cycle.begin()
      for _ in 0..<30 { append(mutator, layout, bytes, head, lure) }
      cycle.scan()
      for _ in 0..<30 { append(mutator, layout, bytes, head, lure) }
      cycle.mark()
      for _ in 0..<30 { append(mutator, layout, bytes, head, lure) }
      cycle.finish()
      #expect(listLength(head.pointee) == 90)
      #expect(heap.liveObjects() == 90)
    }
  }

  @Test("beside a thread that collects in a loop")
  func beside() throws {
    let heap = try TestHeap()
    let layout = try Shape.prefix(2, 3).make(heap)
    let done = Flag()
    let collecting = TestThread {
      for round in 0..<30 { heap.collector.gc([Mode.background, .background, .force][round % 3]) }
      done.set()
    }
    try heap.attached { mutator in
      let head = mutator.root(nil)
      var lure: UInt = 0
      var length = 0
      while !done.isSet {
        append(mutator, layout, 16 + length % 200, head, lure)
        lure = address(head.pointee)
        length += 1
        if length == 500 {
          #expect(listLength(head.pointee) == 500)
          head.pointee = nil
          length = 0
        }
      }
      #expect(listLength(head.pointee) == length)
      #expect(heap.liveObjects() == UInt64(length))
    }
    collecting.join()
  }
}
