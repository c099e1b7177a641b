// Memory against time, one point per contender, as SVG: near the lower left corner is good. Memory is logarithmic, as
// contenders are far apart in it. The chart scales as a whole, its text with it, and is drawn at the width of a phone.

struct ScatterChart {
  struct Point {
    let name: String
    let x, y: Summary
    let emphasis: Emphasis
  }

  let id: String
  let title: String
  let xLabel, yLabel: String
  let points: [Point]

  private static let width = 340.0, height = 270.0
  private static let plot = Box(x: 44, y: 24, width: 284, height: 204)

  private var xAxis: LogAxis { LogAxis(around: points.flatMap { [$0.x.min, $0.x.max] }) }
  private var yAxis: Axis { Axis(upTo: (points.map(\.y.max).max() ?? 0) * 1.06, steps: 4) }

  var svg: String {
    let head = Html.text("title", ["id": "\(id)-t"], title) + Html.text("desc", ["id": "\(id)-d"], summary)
    return Html.element(
      "svg",
      [
        "class": "plot scatter", "role": "img", "aria-labelledby": "\(id)-t \(id)-d",
        "viewBox": "0 0 \(ScatterChart.width.short) \(ScatterChart.height.short)",
      ], head + grid + axisLabels + ranges + dots + labels)
  }

  private var summary: String {
    points.map { "\($0.name): \($0.x.median.short) \(xLabel), \($0.y.median.short) \(yLabel)" }
      .joined(separator: "; ")
  }

  private var grid: String {
    let plot = ScatterChart.plot
    let vertical = xAxis.ticks.map { tick in
      line("grid", x(tick), plot.y, x(tick), plot.bottom)
        + text(LogAxis.label(tick), x(tick), plot.bottom + 14, "dim middle")
    }
    let horizontal = yAxis.ticks.map { tick in
      line("grid", plot.x, y(tick), plot.right, y(tick))
        + text(yAxis.label(tick), plot.x - 5, y(tick) + 4, "dim end")
    }
    return (vertical + horizontal).joined()
  }

  private var axisLabels: String {
    text(xLabel, ScatterChart.plot.right, ScatterChart.plot.bottom + 31, "dim end")
      + text(yLabel, 2, 12, "dim")
  }

  private var ranges: String {
    points.map { point in
      Html.element(
        "g", ["class": point.emphasis.rawValue],
        line("range", x(point.x.median), y(point.y.min), x(point.x.median), y(point.y.max))
          + line("range", x(point.x.min), y(point.y.median), x(point.x.max), y(point.y.median)))
    }.joined()
  }

  private var dots: String {
    points.map { point in
      Html.empty(
        "circle",
        [
          "class": "dot \(point.emphasis.rawValue)", "cx": place(x(point.x.median)),
          "cy": place(y(point.y.median)), "r": "5",
        ])
    }.joined()
  }

  private var labels: String {
    let places = points.map { (x: x($0.x.median), y: y($0.y.median)) }
    let boxes = LabelPlacement.boxes(for: points.map(\.name), at: places, within: ScatterChart.plot)
    return points.indices.map { index in
      let (box, at) = (boxes[index], places[index])
      let leader = box.distance(x: at.x, y: at.y) > 9
      // A name left of its point ends there, however wide the reader's letters are.
      let isLeft = box.right < at.x
      let name = "name \(isLeft ? "end " : "")\(points[index].emphasis.rawValue)"
      return (leader ? line("leader", at.x, at.y, box.nearestX(at.x), box.nearestY(at.y)) : "")
        + text(points[index].name, isLeft ? box.right : box.x, box.bottom - 3, name)
    }.joined()
  }

  private func x(_ value: Double) -> Double {
    ScatterChart.plot.x + ScatterChart.plot.width * xAxis.share(value)
  }
  private func y(_ value: Double) -> Double {
    ScatterChart.plot.bottom - ScatterChart.plot.height * yAxis.share(value)
  }

  private func line(_ name: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    Html.empty("line", ["class": name, "x1": place(x1), "y1": place(y1), "x2": place(x2), "y2": place(y2)])
  }

  private func text(_ content: String, _ x: Double, _ y: Double, _ name: String) -> String {
    Html.text("text", ["class": name, "x": place(x), "y": place(y)], content)
  }

  private func place(_ value: Double) -> String { value.formatted(digits: 1) }
}
