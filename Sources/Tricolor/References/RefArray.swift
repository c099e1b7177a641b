// RefArray: an array of references in the heap: a count, then the references.
//
//   | count | element 0 | element 1 | ...      8 bytes each; the count is no reference

public import CTricolor

/// What a `RefArray<T>` refers to. Its name is needed for roots, pools and arrays of arrays:
/// `Root<ReferenceArray<Node>>`.
public struct ReferenceArray<T> {
  /// The number of elements: `array.count`.
  public let count: Int
}

/// A reference to a fixed number of references, all nil at first: what variable-length objects are built from. A field
/// of this type is a reference field like any other.
public typealias RefArray<T> = Ref<ReferenceArray<T>>

/// Arrays of references to `T` in one heap, as `Heap.registerArray` made it; cheap to copy, usable from any thread.
public struct ManagedArrayType<T>: @unchecked Sendable {
  @usableFromInline let layout: OpaquePointer
  @usableFromInline let heap: OpaquePointer
}

extension Heap {
  /// Prepares arrays of references to `T`, to be made with `Mutator.makeArray`. All of them share memory and one
  /// layout. Takes a lock.
  ///
  /// Throws `.outOfMemory`.
  public func registerArray<T>(of type: T.Type) throws(HeapError) -> ManagedArrayType<T> {
    checkOpen()
    var description = tri_layout_description()
    description.form = .mask
    description.prefix_words = 1
    description.period_words = 1
    description.period_mask = 1
    return ManagedArrayType(layout: try makeLayout(description), heap: raw)
  }
}

extension Mutator {
  /// A new array of `count` nils, from 0 on. Small arrays cost an allocation like any other; those above 32 KiB are
  /// pages of their own. Stops the process when the heap is full.
  @inlinable
  public func makeArray<T>(_ type: ManagedArrayType<T>, count: Int) -> RefArray<T> {
    do { return try tryMakeArray(type, count: count) } catch { Trap.outOfMemory(pointer, error) }
  }

  /// The same, but throws `.outOfMemory`, `.limitReached`, `.tooLarge` or `.tooManyLayouts`.
  @inlinable
  public func tryMakeArray<T>(_ type: ManagedArrayType<T>, count: Int) throws(HeapError) -> RefArray<T> {
    assert(type.heap == pointer.pointee.heap, "making an array of another heap's type")
    if count < 0 { trap(pointer.pointee.heap, "making an array of \(count) elements") }
    guard count < Int.max / 8 else { throw .tooLarge }
    let bytes = 8 + 8 * count
    guard let object = tri_alloc(pointer, type.layout, bytes) else {
      return RefArray(unsafeAddress: initialize(try allocate(type.layout, bytes), count))
    }
    return RefArray(unsafeAddress: initialize(object, count))
  }

  @inlinable @inline(__always)
  func initialize(_ object: UnsafeMutableRawPointer, _ count: Int) -> UnsafeMutableRawPointer {
    object.storeBytes(of: count, as: Int.self)
    return object
  }

  /// Stores an element, naming the mutator; needed in a heap that is not the one this thread attached to last.
  @inlinable @inline(__always)
  public func store<U>(_ array: RefArray<U>, _ index: Int, _ value: Ref<U>?) {
    let offset = array.checkedOffset(index)
    store(value?.unsafeAddress, at: offset, in: array.unsafeAddress)
  }
}

extension Ref {
  /// An element. An index out of bounds stops the process. Writing goes through the write barrier, as with fields.
  @inlinable @inline(__always)
  public subscript<U>(index: Int) -> Ref<U>? where T == ReferenceArray<U> {
    get { (unsafeAddress + checkedOffset(index)).assumingMemoryBound(to: Ref<U>?.self).pointee }
    nonmutating set { Self.store(newValue?.unsafeAddress, at: checkedOffset(index), in: unsafeAddress) }
  }

  @inlinable @inline(__always)
  func checkedOffset<U>(_ index: Int) -> Int where T == ReferenceArray<U> {
    let count = object.pointee.count
    guard UInt(bitPattern: index) < UInt(bitPattern: count) else { Trap.outOfBounds(index, count) }
    return 8 &+ 8 &* index  // an array of that many was allocated: this cannot overflow
  }
}
