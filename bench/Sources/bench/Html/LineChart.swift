// Curves over sizes that double, as SVG: a logarithmic axis from left to right, and upwards a linear one from zero, or
// a logarithmic one for what may be a hundred times as much elsewhere. The chart scales as a whole, its text with it,
// and is drawn at the width of a phone. Which curve is whose, its surroundings say.
import Foundation

struct LineChart {
  struct Point {
    let x: Double
    let y: Summary
  }

  struct Series {
    let name: String
    let points: [Point]
    let emphasis: Emphasis
  }

  let id: String
  let title: String
  let yLabel: String
  let series: [Series]
  var isLogarithmic = false
  /// How a place on the axis of sizes is called.
  let xText: (Double) -> String

  private static let width = 340.0, height = 250.0
  private static let plot = Box(x: 44, y: 24, width: 276, height: 196)

  /// Every size that was measured, once.
  private var sizes: LogAxis { LogAxis(places: Array(Set(series.flatMap { $0.points.map(\.x) }))) }
  private var linear: Axis { Axis(upTo: (series.flatMap { $0.points.map(\.y.max) }.max() ?? 0) * 1.06, steps: 4) }
  private var logarithmic: LogAxis { LogAxis(around: series.flatMap { $0.points.flatMap { [$0.y.min, $0.y.max] } }) }

  var svg: String {
    let head = Html.text("title", ["id": "\(id)-t"], title) + Html.text("desc", ["id": "\(id)-d"], summary)
    return Html.element(
      "svg",
      [
        "class": "plot lines", "role": "img", "aria-labelledby": "\(id)-t \(id)-d",
        "viewBox": "0 0 \(LineChart.width.short) \(LineChart.height.short)",
      ], head + grid + series.map(curve).joined())
  }

  /// The numbers of the chart in words.
  private var summary: String {
    series.map { one in
      "\(one.name): " + one.points.map { "\($0.y.median.short) at \(xText($0.x))" }.joined(separator: ", ")
    }.joined(separator: "; ")
  }

  private var grid: String {
    let plot = LineChart.plot
    let vertical = sizes.ticks.map { size in
      line("grid", x(size), plot.y, x(size), plot.bottom) + text(xText(size), x(size), plot.bottom + 15, "dim middle")
    }
    let ticks =
      isLogarithmic
      ? logarithmic.ticks.map { ($0, LogAxis.label($0)) } : linear.ticks.map { ($0, linear.label($0)) }
    let horizontal = ticks.map { tick, label in
      line("grid", plot.x, y(tick), plot.right, y(tick)) + text(label, plot.x - 5, y(tick) + 4, "dim end")
    }
    return (vertical + horizontal).joined() + text(yLabel, 2, 12, "dim")
  }

  private func curve(_ one: Series) -> String {
    let places = one.points.map { "\(place(x($0.x))),\(place(y($0.y.median)))" }.joined(separator: " ")
    let marks = one.points.map { point in
      line("range", x(point.x), y(point.y.min), x(point.x), y(point.y.max))
        + Html.empty(
          "circle",
          [
            "class": "dot \(one.emphasis.rawValue)", "cx": place(x(point.x)), "cy": place(y(point.y.median)),
            "r": "4",
          ])
    }
    return Html.empty("polyline", ["class": "curve \(one.emphasis.rawValue)", "points": places]) + marks.joined()
  }

  private func x(_ size: Double) -> Double {
    LineChart.plot.x + 16 + (LineChart.plot.width - 32) * sizes.share(size)
  }

  private func y(_ value: Double) -> Double {
    LineChart.plot.bottom - LineChart.plot.height * (isLogarithmic ? logarithmic.share(value) : linear.share(value))
  }

  private func line(_ name: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    Html.empty("line", ["class": name, "x1": place(x1), "y1": place(y1), "x2": place(x2), "y2": place(y2)])
  }

  private func text(_ content: String, _ x: Double, _ y: Double, _ name: String) -> String {
    Html.text("text", ["class": name, "x": place(x), "y": place(y)], content)
  }

  private func place(_ value: Double) -> String { value.formatted(digits: 1) }
}
