// Weak: a reference that does not keep its object alive.

import CTricolor

/// Refers to one object of a heap without keeping it alive: `object` is nil once a cycle found that nothing else leads to
/// it, or once it was freed.
///
/// May be kept anywhere, and read by any thread that is attached. Making and dropping one cost a lock, reading a few
/// loads (a lock while a sweep is under way). Several to one object share their memory, 32 bytes.
public struct Weak<T>: ~Copyable, @unchecked Sendable {
  private let heap: Heap
  private let weak: OpaquePointer

  /// Makes a weak reference to an object of the mutator's heap.
  ///
  /// Throws `.outOfMemory`.
  public init(_ reference: Ref<T>, _ mutator: borrowing Mutator) throws(HeapError) {
    var weak: OpaquePointer?
    try HeapError.check(tri_weak_make(mutator.pointer, reference.unsafeAddress, &weak))
    heap = mutator.heap
    self.weak = weak!
  }

  deinit {
    // A closed heap took it along.
    if !heap.isClosed { tri_weak_free(heap.raw, weak) }
  }

  /// The object, which whoever holds the answer keeps alive, or nil. The calling thread is attached to the heap, or
  /// stops the process.
  public var object: Ref<T>? {
    tri_weak_get(heap.currentMutator(for: "reading a weak reference"), weak).map { Ref(unsafeAddress: $0) }
  }
}

extension Mutator {
  /// A weak reference to an object. Stops the process when memory is refused; `Weak.init` throws instead.
  public func makeWeak<T>(_ reference: Ref<T>) -> Weak<T> {
    do { return try Weak(reference, self) } catch { Trap.outOfMemory(pointer, error) }
  }
}
