// RawBuffer: bytes in the heap, never looked at by the collector: text, numbers, pixels.
//
//   | count | bytes ...        the bytes begin at a multiple of 8

public import CTricolor

/// What a `RawBuffer` refers to. Its name is needed for roots, pools and arrays: `Root<ByteBuffer>`.
public struct ByteBuffer {
  /// The number of bytes: `buffer.count`.
  public let count: Int
}

/// A reference to a fixed number of bytes without references, aligned to 8. A field of this type is a reference field
/// like any other.
public typealias RawBuffer = Ref<ByteBuffer>

extension Mutator {
  /// A new buffer of `byteCount` zeros, from 0 on. Stops the process when the heap is full.
  @inlinable
  public func makeBuffer(byteCount: Int) -> RawBuffer {
    do { return try tryMakeBuffer(byteCount: byteCount) } catch { Trap.outOfMemory(pointer, error) }
  }

  /// The same, but throws `.outOfMemory`, `.limitReached` or `.tooLarge`.
  @inlinable @inline(__always)
  public func tryMakeBuffer(byteCount: Int) throws(HeapError) -> RawBuffer {
    guard isSmallBuffer(byteCount), let object = tri_alloc_leaf(pointer, 8 + byteCount) else {
      return try makeAnyBuffer(byteCount)
    }
    return RawBuffer(unsafeAddress: initialize(object, byteCount))
  }

  /// A new buffer whose bytes are whatever was there before, for callers that overwrite all of it: the cheapest
  /// allocation. Throws as `tryMakeBuffer`.
  @inlinable @inline(__always)
  public func tryMakeUninitializedBuffer(byteCount: Int) throws(HeapError) -> RawBuffer {
    guard isSmallBuffer(byteCount), let object = tri_alloc_leaf_uninitialized(pointer, 8 + byteCount) else {
      return try makeAnyUninitializedBuffer(byteCount)
    }
    return RawBuffer(unsafeAddress: initialize(object, byteCount))
  }

  /// One comparison for what the callers would otherwise check in three: not negative, no overflow, small.
  @inlinable @inline(__always)
  func isSmallBuffer(_ byteCount: Int) -> Bool {
    UInt(bitPattern: byteCount) <= UInt(TRI_SMALL_BYTES_MAX) - 8
  }

  @usableFromInline @inline(never)
  func makeAnyBuffer(_ byteCount: Int) throws(HeapError) -> RawBuffer {
    let bytes = try bufferBytes(byteCount)
    return RawBuffer(unsafeAddress: initialize(try allocate(tri_layout_leaf(pointer.pointee.heap), bytes), byteCount))
  }

  /// Large blocks, and what was refused: that is asked for once more, to learn why.
  @usableFromInline @inline(never)
  func makeAnyUninitializedBuffer(_ byteCount: Int) throws(HeapError) -> RawBuffer {
    let bytes = try bufferBytes(byteCount)
    guard let object = tri_alloc_leaf_uninitialized(pointer, bytes) else { return try makeAnyBuffer(byteCount) }
    return RawBuffer(unsafeAddress: initialize(object, byteCount))
  }

  func bufferBytes(_ byteCount: Int) throws(HeapError) -> Int {
    if byteCount < 0 { trap(pointer.pointee.heap, "making a buffer of \(byteCount) bytes") }
    guard byteCount < Int.max - 8 else { throw .tooLarge }
    return 8 + byteCount
  }
}

extension Ref where T == ByteBuffer {
  /// A byte. An index out of bounds stops the process.
  @inlinable @inline(__always)
  public subscript(index: Int) -> UInt8 {
    get { checkedAddress(index).load(as: UInt8.self) }
    nonmutating set { checkedAddress(index).storeBytes(of: newValue, as: UInt8.self) }
  }

  /// The bytes, to read and write in place. The object stays alive during `body` because this frame holds it; the
  /// pointer must not be used afterwards.
  @inlinable @inline(__always)
  public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // Without a use after the body nothing on the stack need hold the object.
    defer { tri_keep_alive(unsafeAddress) }
    return try body(UnsafeMutableRawBufferPointer(start: unsafeAddress + 8, count: object.pointee.count))
  }

  @inlinable @inline(__always)
  func checkedAddress(_ index: Int) -> UnsafeMutableRawPointer {
    let count = object.pointee.count
    guard UInt(bitPattern: index) < UInt(bitPattern: count) else { Trap.outOfBounds(index, count) }
    return unsafeAddress + (8 + index)
  }
}
