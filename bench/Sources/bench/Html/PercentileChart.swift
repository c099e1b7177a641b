// Latency against the share of operations, as SVG. Both axes are logarithmic, the lower one in the share that took longer:
// from 90 % to 99 % is as far as from 99 % to 99.9 %, since the slow ones are what is looked for.
import Foundation

struct PercentileChart {
  struct Curve {
    let name: String
    let latencies: LatencyHistogram
    let emphasis: Emphasis
    /// Which of the colours for others.
    let hue: Int

    /// The class that has its colour.
    var style: String { emphasis == .other ? "hue-\(hue % 6)" : emphasis.rawValue }
  }

  let id, title: String
  let curves: [Curve]

  private static let width = 340.0, height = 270.0
  private static let plot = Box(x: 44, y: 14, width: 276, height: 222)
  private static let nines = 5.0
  private static let ticks = [(0.0, "0"), (1, "90"), (2, "99"), (3, "99.9"), (4, "99.99"), (5, "99.999")]
  private static let shares = (0...100).map { 1 - pow(10, -nines * Double($0) / 100) }

  private let values: [[Double]]
  private let yAxis: LogAxis

  init(id: String, title: String, curves: [Curve]) {
    self.id = id
    self.title = title
    self.curves = curves
    values = curves.map { curve in
      curve.latencies.quantilesNs(PercentileChart.shares).map { max($0 / 1e3, 0.01) }
    }
    yAxis = LogAxis(around: values.flatMap { $0 })
  }

  var svg: String {
    let head = Html.text("title", ["id": "\(id)-t"], title) + Html.text("desc", ["id": "\(id)-d"], summary)
    return Html.element(
      "svg",
      [
        "class": "plot lines", "role": "img", "aria-labelledby": "\(id)-t \(id)-d",
        "viewBox": "0 0 \(PercentileChart.width.short) \(PercentileChart.height.short)",
      ], head + grid + drawing)
  }

  private var summary: String {
    curves.map { curve in
      let values = curve.latencies.quantilesNs([0.5, 0.99, 0.999, 1]).map { ($0 / 1e3).short }
      return "\(curve.name): half \(values[0]) µs, 99 % \(values[1]), 99.9 % \(values[2]), all \(values[3])"
    }.joined(separator: "; ")
  }

  private var grid: String {
    let plot = PercentileChart.plot
    let vertical = PercentileChart.ticks.map { nines, label in
      let at = plot.x + plot.width * nines / PercentileChart.nines
      let place = nines == 0 ? "dim" : "dim middle"
      return line(at, plot.y, at, plot.bottom) + text(label, at, plot.bottom + 15, place)
    }
    let horizontal = yAxis.ticks.map { tick in
      let at = y(tick)
      return line(plot.x, at, plot.right, at) + text(LogAxis.label(tick), plot.x - 5, at + 4, "dim end")
    }
    return (vertical + horizontal).joined()
  }

  /// Ours last, so that they lie on top.
  private var drawing: String {
    curves.indices.sorted { rank($0) < rank($1) }.map { index in
      let step = PercentileChart.plot.width / Double(PercentileChart.shares.count - 1)
      let points = values[index].enumerated().map { place, value in
        "\((PercentileChart.plot.x + step * Double(place)).formatted(digits: 1)),\(y(value).formatted(digits: 1))"
      }
      return Html.empty("polyline", ["class": "curve \(curves[index].style)", "points": points.joined(separator: " ")])
    }.joined()
  }

  private func rank(_ index: Int) -> Int {
    switch curves[index].emphasis {
    case .ours: 2
    case .oursFreed: 1
    default: 0
    }
  }

  private func y(_ value: Double) -> Double {
    PercentileChart.plot.bottom - PercentileChart.plot.height * yAxis.share(value)
  }

  private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    let places = [x1, y1, x2, y2].map { $0.formatted(digits: 1) }
    return Html.empty("line", ["class": "grid", "x1": places[0], "y1": places[1], "x2": places[2], "y2": places[3]])
  }

  private func text(_ content: String, _ x: Double, _ y: Double, _ name: String) -> String {
    Html.text("text", ["class": name, "x": x.formatted(digits: 1), "y": y.formatted(digits: 1)], content)
  }
}
