// SizeClassTests: every small size has a slot that holds it, and wastes little.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct SizeClassTests {
  private let sizes = 1...Int(TRI_SMALL_BYTES_MAX)

  @Test("every size from 1 to 32768 has a class whose slot holds it and whose smaller neighbour does not")
  func holds() {
    var last: UInt32 = 0
    for bytes in sizes {
      let sizeClass = tri_size_class(bytes)
      guard sizeClass < UInt32(TRI_SIZE_CLASS_COUNT), sizeClass >= last, sizeClass - last <= 1,
        Int(tri_size_class_bytes(sizeClass)) >= bytes,
        sizeClass == 0 || Int(tri_size_class_bytes(sizeClass - 1)) < bytes
      else {
        Issue.record("size \(bytes) has class \(sizeClass), after \(last)")
        return
      }
      last = sizeClass
    }
    #expect(last == UInt32(TRI_SIZE_CLASS_COUNT) - 1)
  }

  @Test("slots rise from class to class, in multiples of 16, up to the largest small object")
  func rises() {
    var last: UInt32 = 0
    for sizeClass in 0..<UInt32(TRI_SIZE_CLASS_COUNT) {
      let bytes = tri_size_class_bytes(sizeClass)
      #expect(bytes > last && bytes % 16 == 0)
      #expect(tri_size_class(Int(bytes)) == sizeClass)
      last = bytes
    }
    #expect(last == UInt32(TRI_SMALL_BYTES_MAX))
  }

  @Test("rounding and the tail of a span waste at most an eighth of it above 128 bytes")
  func waste() {
    for bytes in sizes where bytes > 128 {
      let sizeClass = tri_size_class(bytes)
      let span = Int(tri_testing_span_bytes(sizeClass))
      let used = span / Int(tri_size_class_bytes(sizeClass)) * bytes
      if (span - used) * 8 > span {
        Issue.record("size \(bytes): \(span - used) bytes of \(span) are wasted")
        return
      }
    }
  }

  @Test("a span holds several of its slots, in whole blocks")
  func spans() {
    for sizeClass in 0..<UInt32(TRI_SIZE_CLASS_COUNT) {
      let span = tri_testing_span_bytes(sizeClass)
      #expect(span % 65536 == 0)
      #expect(span / tri_size_class_bytes(sizeClass) >= 8)
    }
  }

  @Test("a span is no longer than it has to be: half of it would hold too little, or waste too much")
  func shortSpans() {
    var blocks = 0
    for sizeClass in 1..<UInt32(TRI_SIZE_CLASS_COUNT) {
      let span = Int(tri_testing_span_bytes(sizeClass))
      let slot = Int(tri_size_class_bytes(sizeClass))
      blocks += span / 65536
      if span == 65536 { continue }
      let half = span / 2
      let slots = half / slot
      let wasted = half - slots * (Int(tri_size_class_bytes(sizeClass - 1)) + 1)
      #expect(slots < 8 || wasted * 8 > half, "class \(sizeClass), \(slot) bytes")
    }
    #expect(blocks <= 132, "a program with objects of all sizes holds \(blocks) blocks for one object of each")
  }

  @Test("the table, when asked for", .enabled(if: getenv("TRICOLOR_PRINT_SIZE_CLASSES") != nil))
  func table() {
    print("class   slot    span  slots  tail  worst waste of a span, per mille")
    for sizeClass in 0..<UInt32(TRI_SIZE_CLASS_COUNT) {
      let slot = Int(tri_size_class_bytes(sizeClass))
      let span = Int(tri_testing_span_bytes(sizeClass))
      let smallest = sizeClass == 0 ? 1 : Int(tri_size_class_bytes(sizeClass - 1)) + 1
      let slots = span / slot
      print(sizeClass, slot, span, slots, span - slots * slot, (span - slots * smallest) * 1000 / span, separator: "\t")
    }
  }
}
