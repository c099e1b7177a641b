// Event: what happened to a heap that its program may want to know.

import CTricolor

extension Heap {
  /// What happened to a heap (`Heap.onEvent`).
  public struct Event: Sendable {
    /// What it was. More may come.
    public enum Kind: Sendable {
      /// The heap cannot be kept below its soft limit with half of the CPU time, or an allocation failed at the hard one.
      /// Once; the next comes after a recovery.
      case heapLimitExceeded
      /// A cycle found it below again.
      case heapLimitRecovered
      /// The container's memory limit is another one, and the soft limit that follows it too.
      case containerLimitChanged
    }

    public var kind: Kind
    /// Bytes of heap pages in use, of the collector's own tables, and external ones.
    public var heldBytes: Int
    /// The limit that it is about; nil: none any more.
    public var limitBytes: Int?
    /// Monotonic time.
    public var nanoseconds: UInt64

    /// nil for a kind that is not known here.
    init?(_ raw: tri_event) {
      switch Int(raw.kind) {
      case Int(TRI_EVENT_HEAP_LIMIT_EXCEEDED): kind = .heapLimitExceeded
      case Int(TRI_EVENT_HEAP_LIMIT_RECOVERED): kind = .heapLimitRecovered
      case Int(TRI_EVENT_CONTAINER_LIMIT_CHANGED): kind = .containerLimitChanged
      default: return nil
      }
      heldBytes = Int(clamping: raw.held_bytes)
      limitBytes = raw.limit_bytes == 0 ? nil : Int(clamping: raw.limit_bytes)
      nanoseconds = raw.time_ns
    }

    /// Keeps the function at one address, as long as the heap lives: it may be running while another one is set.
    final class Box: Sendable {
      let body: @Sendable (Event) -> Void
      init(_ body: @escaping @Sendable (Event) -> Void) { self.body = body }
    }

    static let deliver: @convention(c) (UnsafePointer<tri_event>, UnsafeMutableRawPointer?) -> Void = {
      event, context in
      guard let event = Event(event.pointee) else { return }
      Unmanaged<Box>.fromOpaque(context!).takeUnretainedValue().body(event)
    }
  }
}
