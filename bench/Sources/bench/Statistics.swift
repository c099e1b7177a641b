// Medians and means of a few numbers, and how they are written.
import Foundation

/// Repeated measurements of one quantity: the median decides, the extremes say how far to trust it.
struct Summary: Equatable {
  let median, min, max: Double

  init(median: Double, min: Double, max: Double) {
    self.median = median
    self.min = min
    self.max = max
  }

  /// nil for no numbers at all.
  init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    min = sorted[0]
    max = sorted[sorted.count - 1]
  }
}

extension Summary {
  func times(_ factor: Double) -> Summary {
    Summary(median: median * factor, min: min * factor, max: max * factor)
  }
}

func geometricMean(_ values: [Double]) -> Double? {
  guard !values.isEmpty, values.allSatisfy({ $0 > 0 }) else { return nil }
  return exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
}

extension Double {
  func formatted(digits: Int) -> String { String(format: "%.\(digits)f", self) }

  /// Three significant digits, without an exponent.
  var short: String {
    let size = abs(self)
    return formatted(digits: size >= 100 ? 0 : size >= 10 ? 1 : 2)
  }
}

extension String {
  func padded(_ width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
  func leftPadded(_ width: Int) -> String {
    String(repeating: " ", count: Swift.max(0, width - count)) + self
  }
}
