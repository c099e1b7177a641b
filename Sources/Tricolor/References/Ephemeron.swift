// Ephemeron: a pair of which the value is alive as long as the key is.

import CTricolor

/// Ties a value to a key that is not its own: something else's object gets a property from outside. The value is alive
/// as long as the key is, also where the value refers to the key; the ephemeron keeps neither alive by itself.
///
/// May be kept anywhere, and used by any thread that is attached. Making and dropping one and setting its value cost a
/// lock, reading a few loads (a lock while a sweep is under way). Takes 32 bytes.
public struct Ephemeron<Key, Value>: ~Copyable, @unchecked Sendable {
  private let heap: Heap
  private let ephemeron: OpaquePointer

  /// Ties a value, or none yet, to a key; both are objects of the mutator's heap.
  ///
  /// Throws `.outOfMemory`.
  public init(_ key: Ref<Key>, _ value: Ref<Value>?, _ mutator: borrowing Mutator) throws(HeapError) {
    var ephemeron: OpaquePointer?
    try HeapError.check(
      tri_ephemeron_make(mutator.pointer, key.unsafeAddress, value?.unsafeAddress, &ephemeron))
    heap = mutator.heap
    self.ephemeron = ephemeron!
  }

  deinit {
    if !heap.isClosed { tri_ephemeron_free(heap.raw, ephemeron) }
  }

  /// The key, or nil once it is dead.
  public var key: Ref<Key>? {
    tri_ephemeron_key(heap.currentMutator(for: "reading an ephemeron"), ephemeron).map { Ref(unsafeAddress: $0) }
  }

  /// The value; nil once the key is dead. Setting it then does nothing.
  public var value: Ref<Value>? {
    get {
      let mutator = heap.currentMutator(for: "reading an ephemeron")
      return tri_ephemeron_value(mutator, ephemeron).map { Ref(unsafeAddress: $0) }
    }
    nonmutating set {
      tri_ephemeron_set_value(
        heap.currentMutator(for: "setting an ephemeron's value"), ephemeron, newValue?.unsafeAddress)
    }
  }
}

extension Mutator {
  /// Ties a value to a key. Stops the process when memory is refused; `Ephemeron.init` throws instead.
  public func makeEphemeron<Key, Value>(_ key: Ref<Key>, _ value: Ref<Value>? = nil) -> Ephemeron<Key, Value> {
    do { return try Ephemeron(key, value, self) } catch { Trap.outOfMemory(pointer, error) }
  }
}
