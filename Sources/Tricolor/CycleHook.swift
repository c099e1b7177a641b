// CycleHook: a function called at the start of every cycle, and how to take it back.

import CTricolor

/// What `Heap.onCycleStart` answers. Dropping it leaves the hook in place.
public struct CycleHook: Sendable {
  /// Keeps the function at one address. The heap holds it until it is closed: a hook that is being removed may still
  /// be running on another thread.
  final class Box: Sendable {
    let body: @Sendable (Heap.Mode) -> Void
    init(_ body: @escaping @Sendable (Heap.Mode) -> Void) { self.body = body }
  }

  let heap: Heap
  let box: Box

  static let run: @convention(c) (tri_mode, UnsafeMutableRawPointer?) -> Void = { mode, context in
    Unmanaged<Box>.fromOpaque(context!).takeUnretainedValue().body(Heap.Mode(mode))
  }

  /// Takes the hook back. One that is running on another thread may still finish.
  ///
  /// Throws `.notFound` if it was removed before.
  public func remove() throws(HeapError) {
    heap.checkOpen()
    try HeapError.check(tri_hook_remove(heap.raw, CycleHook.run, Unmanaged.passUnretained(box).toOpaque()))
  }
}
