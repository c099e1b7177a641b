// Pool: spare objects for reuse, given up to the collector at the start of every cycle (S4).

import CTricolor

/// A bag of spare objects. Whatever it holds when a cycle begins is dropped before anything is marked, and reclaimed
/// in that very cycle if nothing else refers to it. So a pool saves work between cycles and never costs memory beyond
/// one.
///
/// Any attached thread may use it. Putting and taking cost a lock.
public final class Pool<T>: @unchecked Sendable {
  private let heap: Heap
  private let pool: OpaquePointer

  /// Makes an empty pool. With `keepsVictims`, what a background cycle drops survives one more cycle and can still be
  /// taken, at the price of being freed one cycle late; force modes drop everything.
  ///
  /// Throws `.outOfMemory`.
  public init(_ heap: Heap, keepsVictims: Bool = false) throws(HeapError) {
    heap.checkOpen()
    var pool: OpaquePointer?
    let flags: UInt32 = keepsVictims ? UInt32(TRI_POOL_VICTIM) : 0
    try HeapError.check(tri_pool_make(heap.raw, flags, &pool))
    self.heap = heap
    self.pool = pool!
  }

  deinit {
    if !heap.isClosed { tri_pool_free(heap.raw, pool) }
  }

  /// Adds an object that its owner no longer needs. When memory for the list is refused the object is just dropped.
  public func put(_ reference: Ref<T>) {
    tri_pool_put(heap.currentMutator(for: "putting into a pool"), pool, reference.unsafeAddress)
  }

  /// Takes the object put last, or nil. Its fields are as they were left.
  public func take() -> Ref<T>? {
    tri_pool_take(heap.currentMutator(for: "taking from a pool"), pool).map { Ref(unsafeAddress: $0) }
  }

  /// How many objects it holds; by the time the caller looks it may be others.
  public var count: Int {
    heap.checkOpen()
    return tri_pool_count(pool)
  }
}
