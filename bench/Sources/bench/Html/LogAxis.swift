// A logarithmic axis: a factor is the same distance everywhere, so three times as much is seen beside the largest too.
import Foundation

struct LogAxis {
  let low, high: Double
  let ticks: [Double]

  /// With these places marked, and no more; for what is above zero.
  init(places: [Double]) {
    ticks = places.filter { $0 > 0 }.sorted()
    low = ticks.first ?? 1
    high = ticks.last ?? 1
  }

  /// With round ticks and some room on both sides.
  init(around values: [Double]) {
    let above = values.filter { $0 > 0 && $0.isFinite }
    low = (above.min() ?? 1) / 1.3
    high = (above.max() ?? 1) * 1.3
    ticks = LogAxis.roundTicks(from: low, to: high)
  }

  /// As many round numbers as have room.
  private static func roundTicks(from low: Double, to high: Double) -> [Double] {
    let powers = stride(from: floor(log10(low)), through: ceil(log10(high)), by: 1)
    let candidates = [[1, 2, 3, 4, 5, 6, 8], [1, 2, 5], [1, 3], [1.0]].map { steps in
      powers.flatMap { power in steps.map { $0 * pow(10, power) } }.filter { low <= $0 && $0 <= high }
    }
    return candidates.first { $0.count <= 6 } ?? candidates[3]
  }

  /// 0 to 1; a single place lies in the middle.
  func share(_ value: Double) -> Double {
    if value <= 0 { return 0 }
    return high > low ? min(max(log(value / low) / log(high / low), 0), 1) : 0.5
  }

  /// No digits that say nothing.
  static func label(_ tick: Double) -> String {
    tick.formatted(digits: tick >= 1 ? 0 : Int(ceil(-log10(tick))))
  }
}
