// Cycles and their longest stops with their moment, as the heap's statistics have them between operations.
import Tricolor

struct Events {
  private let baseNs: UInt64
  private var cycles: Int
  private var stops: [(atNs: UInt64, ns: UInt64)] = []
  private var spans: [(begin: UInt64, end: UInt64)] = []

  init(_ heap: Heap) {
    cycles = heap.statistics.cycles
    baseNs = nowNs()
  }

  mutating func poll(_ heap: Heap) {
    let statistics = heap.statistics
    if statistics.cycles == cycles { return }
    cycles = statistics.cycles
    let end = nowNs() - baseNs
    let mark = Events.ns(statistics.markTimeAtLastCycle), pause = Events.ns(statistics.pauseAtLastCycle)
    spans.append((end - min(mark, end), end))
    stops.append((end - min(pause, end), pause))
  }

  private static func ns(_ duration: Duration) -> UInt64 {
    UInt64(duration.components.seconds) * 1_000_000_000 + UInt64(duration.components.attoseconds / 1_000_000_000)
  }

  var fields: String {
    let sorted = stops.map(\.ns).sorted()
    var text = ",\"stops\":\(sorted.count)"
    for (name, permille) in [("median", 500), ("p99", 990), ("longest", 1000)] where !sorted.isEmpty {
      text += ",\"stop_ns_\(name)\":\(sorted[max((sorted.count * permille + 999) / 1000, 1) - 1])"
    }
    let stopList = stops.map { "\($0.atNs / 1000):\($0.ns)" }.joined(separator: ",")
    let spanList = spans.map { "\($0.begin / 1000)-\($0.end / 1000)" }.joined(separator: ",")
    return text + ",\"timeline_stops\":\"\(stopList)\",\"timeline_cycles\":\"\(spanList)\""
  }
}
