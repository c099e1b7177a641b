// Root: a precise root scoped to a Swift value.

import CTricolor

/// Keeps one object of a heap alive from anywhere: class instances, arrays, closures, globals, async functions, other
/// threads. Freed when the value goes, on any thread.
///
/// A root may be read by any thread, and is shared by whoever can see it; what it holds is used on attached threads
/// only. Making, setting and freeing one cost tens of nanoseconds: a lock or two. It holds its heap too. Careful with
/// roots that are owned by what the root's object keeps alive through C: such a circle is never freed.
public struct Root<T>: ~Copyable, @unchecked Sendable {
  private let heap: Heap
  private let handle: OpaquePointer

  /// Makes a root for an object of the mutator's heap, or for none yet.
  ///
  /// Throws `.outOfMemory`.
  public init(_ reference: Ref<T>?, _ mutator: borrowing Mutator) throws(HeapError) {
    guard let handle = tri_handle_make(mutator.pointer, reference?.unsafeAddress) else { throw .outOfMemory }
    heap = mutator.heap
    self.handle = handle
  }

  deinit {
    // A closed heap took its handles with it.
    if !heap.isClosed { tri_handle_free_any_thread(heap.raw, handle) }
  }

  /// What the root holds. The calling thread is attached to the heap, or stops the process. Of two threads that set it
  /// at once the later one wins.
  public var reference: Ref<T>? {
    get {
      _ = heap.currentMutator(for: "reading a root")
      return tri_handle_get(handle).map { Ref(unsafeAddress: $0) }
    }
    nonmutating set {
      tri_handle_set(heap.currentMutator(for: "setting a root"), handle, newValue?.unsafeAddress)
    }
  }
}

extension Mutator {
  /// A root for an object, or for none yet. Stops the process when memory is refused; `Root.init` throws instead.
  public func makeRoot<T>(_ reference: Ref<T>?) -> Root<T> {
    do { return try Root(reference, self) } catch { Trap.outOfMemory(pointer, error) }
  }
}
