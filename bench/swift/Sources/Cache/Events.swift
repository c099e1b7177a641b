// Cycles and stops with their moment: the heap keeps the last stops, and its statistics the last cycle.
import Tricolor

struct Events {
  private let baseNs: UInt64
  private var cycles: Int
  private var lastStop: UInt64
  private var stops: [(atNs: UInt64, ns: UInt64, arrivalNs: UInt64)] = []
  private var spans: [(begin: UInt64, end: UInt64)] = []

  init(_ heap: Heap) {
    cycles = heap.statistics.cycles
    lastStop = heap.stops().last?.number ?? 0
    baseNs = nowNs()
  }

  mutating func poll(_ heap: Heap) {
    let statistics = heap.statistics
    if statistics.cycles == cycles { return }
    cycles = statistics.cycles
    let end = nowNs() - baseNs
    spans.append((end - min(Events.ns(statistics.markTimeAtLastCycle), end), end))
    for stop in heap.stops(after: lastStop) {
      lastStop = stop.number
      if stop.requestedAt < baseNs { continue }
      stops.append((stop.requestedAt - baseNs, Events.ns(stop.time), Events.ns(stop.arrivalTime)))
    }
  }

  private static func ns(_ duration: Duration) -> UInt64 {
    UInt64(duration.components.seconds) * 1_000_000_000 + UInt64(duration.components.attoseconds / 1_000_000_000)
  }

  var fields: String {
    let stopList = stops.map { "\($0.atNs / 1000):\($0.ns)" }.joined(separator: ",")
    let spanList = spans.map { "\($0.begin / 1000)-\($0.end / 1000)" }.joined(separator: ",")
    return ",\"stops\":\(stops.count)" + Events.quantiles("stop", stops.map(\.ns))
      + Events.quantiles("stop_arrival", stops.map(\.arrivalNs))
      + Events.quantiles("stop_work", stops.map { $0.ns - $0.arrivalNs })
      + ",\"timeline_stops\":\"\(stopList)\",\"timeline_cycles\":\"\(spanList)\""
  }

  private static func quantiles(_ name: String, _ values: [UInt64]) -> String {
    let sorted = values.sorted()
    if sorted.isEmpty { return "" }
    return [("median", 500), ("p99", 990), ("longest", 1000)].map { part, permille in
      ",\"\(name)_ns_\(part)\":\(sorted[max((sorted.count * permille + 999) / 1000, 1) - 1])"
    }.joined()
  }
}
