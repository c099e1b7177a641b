// Cleanup: what is to be done after an object is dead.

import CTricolor

/// Names a cleanup that was added. Dropping it changes nothing.
public struct Cleanup: Sendable {
  /// What the heap holds on to until the cleanup has run or is cancelled.
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  let raw: tri_cleanup
  let heap: Heap
  let box: Unmanaged<Box>

  static let run: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
    Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
  }

  /// Takes the cleanup back: true if it will not run, false if its object is dead already or it was cancelled before.
  /// Any thread.
  @discardableResult
  public func cancel() -> Bool {
    heap.checkOpen()
    if !tri_cleanup_cancel(heap.raw, raw) { return false }
    box.release()
    return true
  }
}

extension Mutator {
  /// Has `body` called once, after the object is dead: found so by a cycle, freed, or closed with its heap. It cannot see
  /// the object, and must not capture a `Ref`, or a `Root` that leads to the object, which would then never die; nor the
  /// heap itself, whose last reference must not go in a cleanup.
  ///
  /// It runs on a thread of the heap's own (with `HeapOptions.runsCleanupsWhenAsked`, in `Heap.runCleanups`), which is
  /// not attached: to use a heap, `body` attaches. One that blocks delays other cleanups and nothing else. The heap's
  /// `close()` runs those that are left before it returns.
  ///
  /// Throws `.outOfMemory`. Costs a lock, and 16 bytes besides the closure.
  @discardableResult
  public func addCleanup<T>(
    to reference: Ref<T>, _ body: @escaping @Sendable () -> Void
  ) throws(HeapError) -> Cleanup {
    let box = Unmanaged.passRetained(Cleanup.Box(body))
    var raw = tri_cleanup()
    let status = tri_cleanup_add(pointer, reference.unsafeAddress, Cleanup.run, box.toOpaque(), &raw)
    if let error = HeapError(status) {
      box.release()
      throw error
    }
    return Cleanup(raw: raw, heap: heap, box: box)
  }
}

extension Heap {
  /// Runs up to `limit` cleanups that are due on the calling thread, and answers how many those were. With
  /// `HeapOptions.runsCleanupsWhenAsked` nothing else runs them; without, this helps the heap's thread.
  @discardableResult
  public func runCleanups(limit: Int = .max) -> Int {
    checkOpen()
    return tri_cleanups_run(raw, max(0, limit))
  }

  /// Cleanups that are due and not yet begun; by the time the caller looks it may be others.
  public var dueCleanups: Int {
    checkOpen()
    return tri_cleanups_due(raw)
  }
}
