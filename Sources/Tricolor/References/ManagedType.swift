// ManagedType: a Swift struct as a heap knows it: its size, and which of its words are references.
//
// Invariants  bit i of the mask is set exactly if word i of the struct is a registered `Ref<...>?`.

public import CTricolor

/// A struct that objects of one heap may have. Made once per type by `Heap.register`; cheap to copy, usable from any
/// thread.
public struct ManagedType<T>: @unchecked Sendable {
  // Constants, and pointers to what lives as long as the heap.
  @usableFromInline let type: tri_type
  @usableFromInline let layout: OpaquePointer
  @usableFromInline let heap: OpaquePointer
  @usableFromInline let mask: ReferenceMask
}

/// Which words of a struct are references; bit 0 is the first word.
@usableFromInline
struct ReferenceMask: Sendable {
  @usableFromInline var bits: UInt64 = 0

  /// Adds the word at a byte offset, nil standing for a key path without one.
  mutating func insert(offset: Int?, of type: Any.Type) throws(HeapError) {
    guard let offset else { throw .badLayout(reason: "a reference of \(type) is not a stored field") }
    guard offset % 8 == 0 else { throw .badLayout(reason: "a reference of \(type) is not at a multiple of 8 bytes") }
    guard offset < 64 * 8 else { throw .badLayout(reason: "a reference of \(type) lies beyond its first 64 words") }
    bits |= 1 << UInt64(offset / 8)
  }

  var description: tri_layout_description {
    var description = tri_layout_description()
    description.form = bits == 0 ? .leaf : .mask
    description.prefix_words = UInt32(64 - bits.leadingZeroBitCount)
    description.prefix_mask = bits
    return description
  }
}

extension Heap {
  /// Tells the heap about a struct and where its references are; objects of it are then made with `Mutator.make`.
  ///
  ///     let node = try heap.register(Node.self, references: \.left, \.right)
  ///     let point = try heap.register(Point.self)       // no references
  ///
  /// Every stored field of type `Ref<...>?` must be listed, those in nested structs by their whole key path. Fields
  /// may be anything else that is a plain value: numbers, enums, tuples, structs and unsafe pointers of these; not
  /// strings, arrays or class instances. An all-zero object must be a valid value: that is how objects begin. Types
  /// with the same size and the same reference words share memory. Takes a lock; register at start-up.
  ///
  /// Throws `.badLayout` (with the reason), `.badAlignment` (more than 16), `.tooLarge` (more than 32 KiB),
  /// `.tooManyLayouts` or `.outOfMemory`.
  public func register<T, each U>(
    _ type: T.Type, references: repeat WritableKeyPath<T, Ref<each U>?>
  ) throws(HeapError) -> ManagedType<T> {
    checkOpen()
    var mask = ReferenceMask()
    for field in repeat each references {
      try mask.insert(offset: MemoryLayout<T>.offset(of: field), of: type)
    }
    try checkFields(of: type, against: mask)
    let layout = try makeLayout(mask.description)
    var made = tri_type()
    try HeapError.check(tri_type_make(raw, layout, MemoryLayout<T>.size, &made))
    return ManagedType(type: made, layout: layout, heap: raw, mask: mask)
  }

  func makeLayout(_ description: tri_layout_description) throws(HeapError) -> OpaquePointer {
    var layout: OpaquePointer?
    var description = description
    try HeapError.check(tri_layout_make(raw, &description, &layout))
    return layout!
  }

  private func checkFields<T>(of type: T.Type, against mask: ReferenceMask) throws(HeapError) {
    let bytes = MemoryLayout<T>.size
    if bytes == 0 { throw .badLayout(reason: "\(type) has no stored fields") }
    if bytes > Int(TRI_SMALL_BYTES_MAX) { throw .tooLarge }
    if MemoryLayout<T>.alignment > 16 { throw .badAlignment }
    guard _isPOD(type) else {
      throw .badLayout(reason: "\(type) holds a string, array, class instance or other value that Swift counts")
    }
    let fields = ReferenceFields(of: type)
    if let name = fields.nonOptional {
      throw .badLayout(reason: "\(type).\(name) is a Ref and must be a Ref?: objects begin as zeros")
    }
    // Without reflection metadata no field is found, and nothing can be said about forgotten ones.
    if fields.count > mask.bits.nonzeroBitCount {
      throw .badLayout(
        reason: "\(type) has \(fields.count) reference fields, and \(mask.bits.nonzeroBitCount) were registered")
    }
  }
}

// MARK: Finding references that were forgotten

/// The references among a type's stored fields, nested structs and tuples included, as reflection finds them.
private struct ReferenceFields {
  private(set) var count = 0
  private(set) var nonOptional: String?

  /// `type` is a plain value for which zeros are valid.
  init<T>(of type: T.Type) {
    let zeros = UnsafeMutableRawPointer.allocate(
      byteCount: MemoryLayout<T>.stride, alignment: MemoryLayout<T>.alignment)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<T>.stride)
    walk(Mirror(reflecting: zeros.assumingMemoryBound(to: type).pointee))
  }

  private mutating func walk(_ mirror: Mirror) {
    for child in mirror.children {
      switch Swift.type(of: child.value) {
      case is any OptionalReference.Type: count += 1
      case is any Reference.Type: nonOptional = nonOptional ?? child.label ?? "?"
      default: descend(into: Mirror(reflecting: child.value))
      }
    }
  }

  private mutating func descend(into mirror: Mirror) {
    if mirror.displayStyle == .struct || mirror.displayStyle == .tuple { walk(mirror) }
  }
}

private protocol Reference {}
extension Ref: Reference {}
private protocol OptionalReference {}
extension Optional: OptionalReference where Wrapped: Reference {}
