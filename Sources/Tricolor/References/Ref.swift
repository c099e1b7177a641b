// Ref: a typed strong reference into a heap. Every store of a reference goes through the write barrier, and the
// compiler sees to it: Ref is not BitwiseCopyable, so no plain subscript takes a reference.

public import CTricolor

/// A reference to an object of a heap: one word, never null (`Ref<T>?` is one word too, nil being 0). Fields of the
/// object are read and written by name:
///
///     struct Node {
///       var left: Ref<Node>?
///       var right: Ref<Node>?
///       var key: Int
///     }
///     node.key += 1
///     node.left = other       // through the write barrier
///
/// **What keeps the object alive.** The collector sees references in objects of the heap, in `Root`s and `Pool`s, and
/// in the local variables and parameters of attached threads (whose stacks it scans). It does **not** see a `Ref` kept
/// in an array, dictionary or class instance, in an escaping closure, in a global or static variable, or in an async
/// function across a suspension: use a `Root` there.
///
/// **Threads.** A `Ref` may be used by any thread that is attached to its heap. It is not Sendable: threads pass
/// references to each other through objects of the heap or through `Root`s. Two threads that use one field at the same
/// time, one of them writing, need a lock of their own, as with any Swift variable.
@dynamicMemberLookup
public struct Ref<T>: ~BitwiseCopyable {
  @usableFromInline let object: UnsafeMutablePointer<T>

  /// Wraps the address of an object that was allocated as a `T`, for code that shares a heap with C.
  @inlinable @inline(__always)
  public init(unsafeAddress address: UnsafeMutableRawPointer) {
    object = address.assumingMemoryBound(to: T.self)
  }

  /// Where the object is; it never moves.
  @inlinable @inline(__always)
  public var unsafeAddress: UnsafeMutableRawPointer { UnsafeMutableRawPointer(object) }

  /// A field without references. Costs what a field of a struct costs. (Its type is BitwiseCopyable: plain structs are
  /// by themselves, public and generic ones have to say so.)
  @inlinable @inline(__always)
  public subscript<V: BitwiseCopyable>(dynamicMember field: WritableKeyPath<T, V>) -> V {
    get { object.pointee[keyPath: field] }
    nonmutating set {
      (unsafeAddress + Self.offset(of: field)).assumingMemoryBound(to: V.self).pointee = newValue
    }
  }

  /// A reference field. Reading costs a load; writing goes through the write barrier of the heap this thread attached
  /// to last: a few tests and a store while no marking is under way. Storing into an object of another heap stops the
  /// process; `Mutator.store` names the heap.
  @inlinable @inline(__always)
  public subscript<U>(dynamicMember field: WritableKeyPath<T, Ref<U>?>) -> Ref<U>? {
    get { object.pointee[keyPath: field] }
    nonmutating set { Self.store(newValue?.unsafeAddress, at: Self.offset(of: field), in: unsafeAddress) }
  }

  /// Any other field or computed property, to read: constants, and structs that hold references. A reference inside a
  /// struct is written through its whole key path: `node[dynamicMember: \.links.next] = other`.
  @inlinable @inline(__always)
  public subscript<V>(dynamicMember field: KeyPath<T, V>) -> V {
    object.pointee[keyPath: field]
  }

  /// Folds to a constant in optimised code.
  @inlinable @inline(__always)
  static func offset<V>(of field: WritableKeyPath<T, V>) -> Int {
    guard let offset = MemoryLayout<T>.offset(of: field) else { Trap.notStored(T.self) }
    return offset
  }

  /// A barriered store by the mutator that this thread attached last.
  @inlinable @inline(__always)
  static func store(_ value: UnsafeMutableRawPointer?, at offset: Int, in object: UnsafeMutableRawPointer) {
    guard let mutator = tri_thread_mutator(), tri_is_mine(mutator, object) else { Trap.storeElsewhere(object) }
    assert(value == nil || tri_is_mine(mutator, value), "storing a reference to an object of another heap")
    tri_store(mutator, object, object + offset, value)
  }
}

@available(*, unavailable, message: "pass references between threads through the heap or a Root")
extension Ref: Sendable {}

extension Ref: Hashable {
  /// Whether both refer to the same object.
  @inlinable @inline(__always)
  public static func == (one: Ref, other: Ref) -> Bool { one.object == other.object }

  /// By identity: objects do not move.
  @inlinable
  public func hash(into hasher: inout Hasher) { hasher.combine(object) }
}

extension Ref: CustomStringConvertible {
  /// The type and the address.
  public var description: String { "Ref<\(T.self)>(\(object))" }
}
