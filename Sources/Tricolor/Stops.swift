// Stops: every stop of the world, one by one: why, how long, who it waited for. For histograms with a library of the
// program's own choice; the package Extras/Metrics has some ready.

import CTricolor

extension Heap {
  /// One stop of the world: from asking the first thread to letting go of the last.
  public struct Stop: Sendable, Hashable {
    public enum Cause: Sendable, Hashable, CaseIterable {
      /// To confirm that a background cycle has marked everything.
      case termination
      /// The same, but more was left to mark than a stop should; marking went on beside the threads.
      case unfinished
      /// A whole mark, by `gc(.force)` and `gc(.forceBlock)`.
      case forced
      /// For hooks that ask for a stop.
      case hooks
    }

    /// One thread's way to the stop.
    public struct Arrival: Sendable, Hashable {
      /// The system's id of the thread.
      public var thread: UInt64
      /// From the request until it stood still.
      public var time: Duration
    }

    /// Rising from 1 in each heap.
    public var number: UInt64
    public var cause: Cause
    /// Threads that were attached.
    public var mutators: Int
    /// When the first thread was asked, in nanoseconds of the monotonic clock.
    public var requestedAt: UInt64
    /// From then until the last thread stood still.
    public var arrivalTime: Duration
    /// From the request until all were let go.
    public var time: Duration
    /// The system's id of the thread that arrived last; nil if none had to be waited for.
    public var latestThread: UInt64?
  }

  /// The stops after number `number`, oldest first; of the last 256. A program that asks now and then, with the number
  /// of the last stop it saw, misses none.
  public func stops(after number: UInt64 = 0) -> [Stop] {
    checkOpen()
    return [tri_stop](unsafeUninitializedCapacity: Int(TRI_STOPS_KEPT)) { buffer, count in
      count = tri_stops_read(raw, number, buffer.baseAddress!, buffer.count)
    }.map(Stop.init)
  }

  /// Has `body` called after every stop, by the collecting thread, with the stop and how long each thread took that
  /// had to be waited for. It must not allocate from the heap, collect it or block. Replaces what was set before; nil
  /// ends it, and a call under way on another thread may still finish. What it captures lives as long as the heap, so
  /// it should not capture the heap.
  public func onStop(_ body: (@Sendable (Stop, [Stop.Arrival]) -> Void)?) {
    checkOpen()
    guard let body else { return tri_stops_observe(raw, nil, nil) }
    let box = StopObserver(body)
    keep(box)
    tri_stops_observe(raw, StopObserver.run, Unmanaged.passUnretained(box).toOpaque())
  }
}

/// Keeps the function at one address.
private final class StopObserver: Sendable {
  let body: @Sendable (Heap.Stop, [Heap.Stop.Arrival]) -> Void
  init(_ body: @escaping @Sendable (Heap.Stop, [Heap.Stop.Arrival]) -> Void) { self.body = body }

  static let run:
    @convention(c) (UnsafePointer<tri_stop>, UnsafePointer<tri_arrival>?, Int, UnsafeMutableRawPointer?) -> Void = {
      stop, arrivals, count, context in
      let list = UnsafeBufferPointer(start: arrivals, count: count).map {
        Heap.Stop.Arrival(thread: $0.thread, time: .nanoseconds(Int64(clamping: $0.ns)))
      }
      Unmanaged<StopObserver>.fromOpaque(context!).takeUnretainedValue().body(Heap.Stop(stop.pointee), list)
    }
}

extension Heap.Stop {
  init(_ raw: tri_stop) {
    number = raw.number
    cause = Cause(raw.cause)
    mutators = Int(raw.mutators)
    requestedAt = raw.requested_ns
    arrivalTime = .nanoseconds(Int64(clamping: raw.stopped_ns - raw.requested_ns))
    time = .nanoseconds(Int64(clamping: raw.started_ns - raw.requested_ns))
    latestThread = raw.latest_thread == 0 ? nil : raw.latest_thread
  }
}

extension Heap.Stop.Cause {
  init(_ raw: tri_stop_cause) {
    switch raw {
    case .termination: self = .termination
    case .unfinished: self = .unfinished
    case .forced: self = .forced
    case .hooks: self = .hooks
    }
  }
}
