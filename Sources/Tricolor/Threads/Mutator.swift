// Mutator: one thread's attachment to one heap, and what a thread does with it: allocate, store, poll.

public import CTricolor

/// The calling thread's way into a heap. Got from `Heap.withMutator` or `Heap.attach`, passed down as
/// `borrowing Mutator`, used only by the thread that attached. It cannot be copied, so that it does not outlive the
/// attachment by accident.
///
/// An attached thread must allocate, poll (`safepoint`), block (`blocking`) or detach now and then: a cycle waits for
/// all attached threads.
public struct Mutator: ~Copyable {
  @usableFromInline let pointer: UnsafeMutablePointer<tri_mutator>
  /// The heap, alive as long as the mutator.
  public let heap: Heap

  init(_ pointer: UnsafeMutablePointer<tri_mutator>, _ heap: Heap) {
    self.pointer = pointer
    self.heap = heap
  }

  // MARK: Objects

  /// A new object, all zero: numbers 0, references nil. A handful of instructions. Stops the process when the heap is
  /// full.
  @inlinable @inline(__always)
  public func make<T>(_ type: ManagedType<T>) -> Ref<T> {
    assert(type.heap == pointer.pointee.heap, "making an object of another heap's type")
    // Nothing is handed to the trap: what it took would occupy registers in every caller.
    guard let object = tri_new(pointer, type.type, MemoryLayout<T>.size) else { Trap.heapFull() }
    return Ref(unsafeAddress: object)
  }

  /// The same, but throws `.outOfMemory` or `.limitReached`.
  @inlinable @inline(__always)
  public func tryMake<T>(_ type: ManagedType<T>) throws(HeapError) -> Ref<T> {
    assert(type.heap == pointer.pointee.heap, "making an object of another heap's type")
    guard let object = tri_new(pointer, type.type, MemoryLayout<T>.size) else {
      return Ref(unsafeAddress: try allocate(type.layout, MemoryLayout<T>.size))
    }
    return Ref(unsafeAddress: object)
  }

  /// A new object with this value. The references in it are shaded where the write barrier asks for it.
  @inlinable @inline(__always)
  public func make<T>(_ type: ManagedType<T>, _ value: T) -> Ref<T> {
    let reference = make(type)
    fill(reference, type, value)
    return reference
  }

  /// The same, but throws `.outOfMemory` or `.limitReached`.
  @inlinable @inline(__always)
  public func tryMake<T>(_ type: ManagedType<T>, _ value: T) throws(HeapError) -> Ref<T> {
    let reference = try tryMake(type)
    fill(reference, type, value)
    return reference
  }

  /// A new object that `initialize` fills in by name.
  @inlinable @inline(__always)
  public func make<T, Failure: Error>(
    _ type: ManagedType<T>, _ initialize: (Ref<T>) throws(Failure) -> Void
  ) throws(Failure) -> Ref<T> {
    let reference = make(type)
    try initialize(reference)
    return reference
  }

  /// Gives an object back now. The caller knows that nothing refers to it any more; a reference that is no object of
  /// this heap, or a second free, stops the process. During marking the memory is reused only after the cycle.
  @inlinable
  public func free<T>(_ reference: Ref<T>) {
    tri_free(pointer, reference.unsafeAddress)
  }

  /// No safepoint lies between the allocation and this, so no marker has seen the object: it may be written with plain
  /// stores. What they store is shaded afterwards, while the barrier is on.
  @inlinable @inline(__always)
  func fill<T>(_ reference: Ref<T>, _ type: ManagedType<T>, _ value: T) {
    reference.object.initialize(to: value)
    if pointer.pointee.barrier & UInt32(TRI_SHADES_NEW) != 0 { shade(reference.unsafeAddress, type.mask) }
  }

  @usableFromInline @inline(never)
  func shade(_ object: UnsafeMutableRawPointer, _ mask: ReferenceMask) {
    var bits = mask.bits
    while bits != 0 {
      let slot = object + 8 * bits.trailingZeroBitCount
      tri_init(pointer, object, slot, slot.load(as: UnsafeMutableRawPointer?.self))
      bits &= bits - 1
    }
  }

  /// Asks again, for the reason.
  @usableFromInline @inline(never)
  func allocate(_ layout: OpaquePointer, _ bytes: Int) throws(HeapError) -> UnsafeMutableRawPointer {
    var object: UnsafeMutableRawPointer?
    try HeapError.check(tri_allocate(pointer, layout, bytes, 16, &object))
    return object!
  }

  // MARK: Stores

  /// `reference.field = value`, naming the mutator: saves finding it, and works in a heap that is not the one this
  /// thread attached to last.
  @inlinable @inline(__always)
  public func store<T, U>(_ reference: Ref<T>, _ field: WritableKeyPath<T, Ref<U>?>, _ value: Ref<U>?) {
    store(value?.unsafeAddress, at: Ref<T>.offset(of: field), in: reference.unsafeAddress)
  }

  @inlinable @inline(__always)
  func store(_ value: UnsafeMutableRawPointer?, at offset: Int, in object: UnsafeMutableRawPointer) {
    assert(tri_is_mine(pointer, object), "storing into an object of another heap")
    assert(value == nil || tri_is_mine(pointer, value), "storing a reference to an object of another heap")
    tri_store(pointer, object, object + offset, value)
  }

  // MARK: Standing still

  /// Lets the collector in, if it is waiting. For loops that do not allocate. Costs a load and a branch.
  @inlinable @inline(__always)
  public func safepoint() {
    tri_safepoint(pointer)
  }

  /// Runs `body`, which may block for any time and must not touch the heap, while the collector treats the thread as
  /// standing still. References that the caller's variables hold stay alive. Does not nest.
  @inlinable
  public func blocking<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    tri_blocking_begin(pointer)
    defer { tri_blocking_end(pointer) }
    return try body()
  }

  /// `Heap.addExternalBytes`, and a safepoint: a cycle that this makes due starts now.
  @inlinable
  public func addExternalBytes(_ delta: Int) {
    tri_external_bytes_add(pointer, Int64(delta))
  }

  // MARK: Leaving

  /// Detaches the thread from the heap. References it held in variables no longer keep anything alive. For mutators
  /// from `Heap.attach`; one that is dropped without this stays attached until the thread ends. Inside
  /// `Heap.withMutator` or `blocking` it stops the process.
  public consuming func detach() {
    Self.detach(pointer)
  }

  static func detach(_ pointer: UnsafeMutablePointer<tri_mutator>) {
    let heap = pointer.pointee.heap
    if let error = HeapError(tri_detach(pointer)) { trap(heap, "detach: \(error)") }
  }
}

@available(*, unavailable, message: "a mutator belongs to the thread that attached")
extension Mutator: Sendable {}
