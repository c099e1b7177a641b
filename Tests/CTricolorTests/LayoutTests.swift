// LayoutTests: masks against a loop over bits, interning, and what is refused.

import CTricolor
import CTricolor.Testing
import Testing

@Suite struct LayoutTests {
  /// The reference bit of one word, by definition.
  private func naive(_ description: tri_layout_description, _ word: Int) -> Bool {
    let prefix = Int(description.prefix_words)
    let period = Int(description.period_words)
    if word < prefix { return description.prefix_mask >> UInt64(word) & 1 == 1 }
    if period == 0 { return false }
    return description.period_mask >> UInt64((word - prefix) % period) & 1 == 1
  }

  private func naiveMask(_ description: tri_layout_description, from first: Int) -> UInt64 {
    var mask: UInt64 = 0
    for bit in 0..<64 where naive(description, first + bit) { mask |= 1 << UInt64(bit) }
    return mask
  }

  private func masked(prefix: Int, _ prefixMask: UInt64, period: Int, _ periodMask: UInt64) -> tri_layout_description {
    var description = tri_layout_description()
    description.form = .mask
    description.prefix_words = UInt32(prefix)
    description.prefix_mask = prefixMask & lowBits(prefix)
    description.period_words = UInt32(period)
    description.period_mask = periodMask & lowBits(period)
    return description
  }

  private func lowBits(_ count: Int) -> UInt64 { count >= 64 ? .max : (1 << UInt64(count)) - 1 }

  @Test("the mask at any word is what a loop over its bits finds")
  func masks() {
    var random = Random(1)
    let lengths = [0, 1, 2, 3, 5, 31, 32, 33, 62, 63, 64]
    for prefix in lengths {
      for period in lengths {
        for pattern in [UInt64.max, 1, 1 << 63, 0x8000_0000_0000_0001, random.next(), random.next() & random.next()] {
          var description = masked(prefix: prefix, pattern, period: period, ~pattern ^ random.next())
          for first in [0, 1, 2, 3, 31, 32, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 1000] {
            let mask = tri_testing_layout_mask(&description, UInt64(first))
            if mask != naiveMask(description, from: first) {
              Issue.record("prefix \(prefix), period \(period), word \(first): \(String(mask, radix: 2))")
              return
            }
          }
        }
      }
    }
  }

  @Test("random masks at random words agree with the loop")
  func randomMasks() {
    var random = Random(2)
    for _ in 0..<2000 {
      var description = masked(
        prefix: random.below(65), random.next(), period: random.below(65), random.next() & random.next())
      let first = random.below(300)
      let mask = tri_testing_layout_mask(&description, UInt64(first))
      if mask != naiveMask(description, from: first) {
        Issue.record("\(description), word \(first): \(String(mask, radix: 2))")
        return
      }
    }
  }

  @Test("a leaf has no reference bits, a layout of references has all")
  func standardForms() {
    var description = tri_layout_description()
    #expect(tri_testing_layout_mask(&description, 0) == 0)
    description.form = .references
    #expect(tri_testing_layout_mask(&description, 0) == .max)
    #expect(tri_testing_layout_mask(&description, 64) == .max)
  }

  @Test("the same description gives the same layout, another another")
  func interning() throws {
    let heap = try TestHeap()
    let one = try heap.layout { $0 = self.masked(prefix: 3, 0b101, period: 2, 0b10) }
    #expect(try heap.layout { $0 = self.masked(prefix: 3, 0b101, period: 2, 0b10) } == one)
    #expect(try heap.layout { $0 = self.masked(prefix: 3, 0b100, period: 2, 0b10) } != one)
    #expect(try heap.layout { $0 = self.masked(prefix: 4, 0b101, period: 2, 0b10) } != one)
    #expect(try heap.layout { $0 = self.masked(prefix: 3, 0b101, period: 2, 0b11) } != one)
    #expect(try heap.layout { $0.form = .leaf } == heap.leaf)
    #expect(try heap.layout { $0.form = .references } == heap.references)
    #expect(try heap.layout { $0.form = .conservative } == heap.conservative)
    let destroyed = try heap.layout { $0.destroy = { _, _, _ in } }
    #expect(destroyed != heap.leaf)
  }

  @Test("layouts of two heaps are their own")
  func perHeap() throws {
    let one = try TestHeap()
    let other = try TestHeap()
    #expect(one.leaf != other.leaf)
  }

  @Test(
    "a description that contradicts itself is refused",
    arguments: [
      "mask beyond the prefix", "prefix of 65 words", "mask beyond the period", "period of 65 words",
      "period mask without a period", "prefix mask without a prefix", "a leaf with a mask", "references with a period",
      "custom without a tracer", "a tracer without custom", "an unknown form",
    ])
  func badDescriptions(_ what: String) throws {
    let heap = try TestHeap()
    var description = tri_layout_description()
    description.form = .mask
    switch what {
    case "mask beyond the prefix":
      description.prefix_words = 3
      description.prefix_mask = 0b1000
    case "prefix of 65 words": description.prefix_words = 65
    case "mask beyond the period":
      description.period_words = 63
      description.period_mask = 1 << 63
    case "period of 65 words": description.period_words = 65
    case "period mask without a period": description.period_mask = 1
    case "prefix mask without a prefix": description.prefix_mask = 1
    case "a leaf with a mask":
      description.form = .leaf
      description.prefix_words = 1
      description.prefix_mask = 1
    case "references with a period":
      description.form = .references
      description.period_words = 1
    case "custom without a tracer": description.form = .custom
    case "a tracer without custom": description.trace = { _, _, _, _ in }
    default: withUnsafeMutableBytes(of: &description) { $0.storeBytes(of: 17, as: UInt32.self) }
    }
    let untouched = OpaquePointer(bitPattern: 64)
    var layout = untouched
    let status = tri_layout_make(heap.heap, &description, &layout)
    #expect(status == .badLayout)
    #expect(layout == untouched)
  }

  @Test("a type of size 0, one shorter than its prefix, and one too large are refused")
  func badTypes() throws {
    let heap = try TestHeap()
    let layout = try heap.layout { $0 = self.masked(prefix: 4, 0b1000, period: 0, 0) }
    var type = tri_type(window: 77, bytes: 78)
    #expect(tri_type_make(heap.heap, heap.leaf, 0, &type) == .badLayout)
    #expect(tri_type_make(heap.heap, layout, 31, &type) == .badLayout)
    #expect(tri_type_make(heap.heap, heap.leaf, Int(TRI_SMALL_BYTES_MAX) + 1, &type) == .tooLarge)
    #expect(type.window == 77 && type.bytes == 78)
    #expect(tri_type_make(heap.heap, layout, 32, &type) == .ok)
    #expect(type.bytes == 32)
  }

  @Test("a mask longer than the object ends with the object")
  func maskBeyondObject() throws {
    let heap = try TestHeap()
    let layout = try heap.layout { $0 = self.masked(prefix: 8, 0b1111_1101, period: 0, 0) }
    try heap.attached { mutator in
      for _ in 0..<100 {
        let object = mutator.object(layout, 16)
        mutator.root(object)
        // Would be followed if the neighbour's mask reached here: it is no object's start.
        object.storeBytes(of: address(object) + 8, toByteOffset: 8, as: UInt.self)
      }
      #expect(heap.liveObjects() == 100)
    }
  }

  @Test("more pairs of layout and size class than a heap can hold are refused, and the heap goes on")
  func tooMany() throws {
    let heap = try TestHeap()
    var status = tri_status.ok
    var made = 0
    var last: OpaquePointer?
    layouts: for index in 1...UInt64(1000) {
      last = try heap.layout { $0 = self.masked(prefix: 64, index, period: 0, 0) }
      for sizeClass in 0..<UInt32(TRI_SIZE_CLASS_COUNT) {
        var type = tri_type()
        let bytes = Int(tri_size_class_bytes(sizeClass))
        if bytes < 512 { continue }
        status = tri_type_make(heap.heap, last!, bytes, &type)
        if status != .ok { break layouts }
        made += 1
      }
    }
    #expect(status == .tooManyLayouts)
    #expect(made == Int(TRI_SPAN_CLASS_MAX) - Int(TRI_SIZE_CLASS_COUNT))
    try heap.attached { mutator in
      let fresh = try heap.layout { $0 = self.masked(prefix: 1, 1, period: 0, 0) }
      let refused = mutator.allocate(fresh, 48)
      #expect(refused.status == .tooManyLayouts && refused.object == nil)
      #expect(tri_alloc(mutator.pointer, fresh, 48) == nil)
      mutator.root(mutator.leaf(48))
      mutator.root(mutator.object(last!, 512))
      #expect(heap.liveObjects() == 2)
    }
  }
}
