// A linear axis from zero: round steps, and where a value lies.
import Foundation

struct Axis {
  /// The largest value shown; above zero.
  let top: Double
  let ticks: [Double]

  /// `steps`: at most so many ticks after zero.
  init(upTo largest: Double, steps: Int) {
    top = largest > 0 && largest.isFinite ? largest : 1
    let rough = top / Double(max(steps, 1))
    let magnitude = pow(10, floor(log10(rough)))
    let step = [1, 2, 2.5, 5, 10].map { $0 * magnitude }.first { $0 >= rough * 0.999 } ?? rough
    ticks = (0...Int(top / step + 1e-9)).map { Double($0) * step }
  }

  /// 0 to 1.
  func share(_ value: Double) -> Double { min(max(value / top, 0), 1) }

  /// No more digits than the step needs.
  func label(_ tick: Double) -> String {
    let step = ticks.count > 1 ? ticks[1] : top
    let digits = (0...4).first { abs(step * pow(10, Double($0)) - (step * pow(10, Double($0))).rounded()) < 1e-6 }
    return tick.formatted(digits: digits ?? 4)
  }
}
