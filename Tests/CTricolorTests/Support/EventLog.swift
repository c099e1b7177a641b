// EventLog: what a heap told, in order.

import CTricolor
import Synchronization

final class EventLog: Sendable {
  private let events = Mutex<[tri_event]>([])

  var all: [tri_event] { events.withLock { $0 } }
  var kinds: [UInt32] { all.map(\.kind) }

  static let record: @convention(c) (UnsafePointer<tri_event>, UnsafeMutableRawPointer?) -> Void = { event, context in
    let log = Unmanaged<EventLog>.fromOpaque(context!).takeUnretainedValue()
    let event = event.pointee
    log.events.withLock { $0.append(event) }
  }
}

extension TestHeap {
  /// Events of this heap from now on; the log lives as long as the heap.
  func events() -> EventLog {
    let log = EventLog()
    keep(log)
    tri_events_set(heap, EventLog.record, Unmanaged.passUnretained(log).toOpaque())
    return log
  }
}
