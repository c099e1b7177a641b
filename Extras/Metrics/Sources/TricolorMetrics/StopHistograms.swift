// StopHistograms: every stop of a heap's world by its cause, and how long threads took to arrive.

public import Histogram
import Synchronization
public import Tricolor

/// Histograms of the stops of one heap, in nanoseconds, from the moment they are made. Values are kept to three
/// digits; memory is some tens of KiB per histogram and does not grow.
///
/// Threads: may be read from any thread while the heap runs. Cost: a lock and a few counters per stop, after the stop.
public final class StopHistograms: Sendable {
  private struct State {
    var stops: [Heap.Stop.Cause: Histogram<UInt64>] = [:]
    var arrivals = State.empty()

    static func empty() -> Histogram<UInt64> { Histogram(numberOfSignificantValueDigits: .three) }
  }
  private let state = Mutex(State())

  /// Observes the heap. A heap has one observer: this one replaces what `Heap.onStop` was given before.
  public init(of heap: Heap) {
    // The heap keeps its observer alive: weak, so that dropping the histograms ends their work.
    heap.onStop { [weak self] stop, arrivals in self?.record(stop, arrivals) }
  }

  private func record(_ stop: Heap.Stop, _ arrivals: [Heap.Stop.Arrival]) {
    state.withLock { state in
      state.stops[stop.cause, default: State.empty()].record(stop.time.nanoseconds)
      for arrival in arrivals { state.arrivals.record(arrival.time.nanoseconds) }
    }
  }

  /// From the request to letting the last thread go, for one cause; empty if there was none.
  public func stops(_ cause: Heap.Stop.Cause) -> Histogram<UInt64> {
    state.withLock { $0.stops[cause] ?? State.empty() }
  }

  /// The same for all causes together.
  public var stops: Histogram<UInt64> {
    state.withLock { state in
      var all = State.empty()
      for histogram in state.stops.values {
        for value in histogram.recordedValues() { all.record(value.value, count: value.count) }
      }
      return all
    }
  }

  /// From the request until a thread stood still, for every thread that had to be waited for.
  public var arrivals: Histogram<UInt64> {
    state.withLock { $0.arrivals }
  }
}

extension Duration {
  /// Whole nanoseconds, none below zero.
  fileprivate var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
  }
}
