// Trap: how a bug in the embedder ends the process: one sentence on standard error, then abort. Swift's own
// `precondition` says nothing in release builds.

import CTricolor

/// Prints the sentence with the heap's phase, and stops the process. `heap` is nil where none is known.
@usableFromInline @inline(never)
func trap(_ heap: OpaquePointer?, _ sentence: String) -> Never {
  tri_cycle_fail(heap, sentence)
}

/// The cold ends of the fast paths. Out of line, so that a caller holds a call and no sentence.
@usableFromInline
enum Trap {
  @usableFromInline @inline(never)
  static func heapFull() -> Never {
    trap(nil, "make: the heap is full: the system refused memory, or its limit is reached; tryMake throws instead")
  }

  @usableFromInline @inline(never)
  static func outOfMemory(_ mutator: UnsafeMutablePointer<tri_mutator>, _ error: HeapError) -> Never {
    trap(mutator.pointee.heap, "make: \(error); tryMake throws instead")
  }

  @usableFromInline @inline(never)
  static func notStored(_ type: Any.Type) -> Never {
    trap(nil, "storing through a key path of \(type) that is not a stored field")
  }

  @usableFromInline @inline(never)
  static func storeElsewhere(_ object: UnsafeMutableRawPointer) -> Never {
    guard let mutator = tri_thread_mutator() else {
      trap(nil, "storing into \(object): this thread is attached to no heap")
    }
    trap(
      mutator.pointee.heap,
      "storing into \(object), which is not of the heap this thread attached to last: use Mutator.store")
  }

  @usableFromInline @inline(never)
  static func outOfBounds(_ index: Int, _ count: Int) -> Never {
    trap(nil, "index \(index) is outside of 0..<\(count)")
  }
}
