// Horizontal bars with ranges, as SVG. Horizontal places are percentages and heights are pixels, so the chart
// takes any width while its text keeps its size: a phone gets shorter bars, not smaller letters.
//
//   name      |#######---|------        value   ratio
//   0 %       27 %                  70 % 84 %   100 %

struct BarChart {
  struct Bar {
    let name: String
    let value: Summary
    let valueText: String
    /// Beside the value; empty for none.
    let note: String
    let emphasis: Emphasis
  }

  let id: String
  let title: String
  let bars: [Bar]
  /// What the notes are.
  var noteHeader = ""
  /// A line through all bars.
  var reference: Double? = nil

  private static let barsFrom = 27.0, barsWidth = 43.0, valueEnd = 84.0
  private static let headerHeight = 20, rowHeight = 22, axisHeight = 20

  private var axis: Axis { Axis(upTo: bars.map(\.value.max).max() ?? 0, steps: 4) }
  private var axisY: Int { BarChart.headerHeight + bars.count * BarChart.rowHeight }

  var svg: String {
    let height = axisY + BarChart.axisHeight
    let head = Html.text("title", ["id": "\(id)-t"], title) + Html.text("desc", ["id": "\(id)-d"], summary)
    let note = Html.text("text", ["class": "dim end", "x": "100%", "y": "13"], noteHeader)
    let rows = bars.indices.map { row(bars[$0], y: BarChart.headerHeight + $0 * BarChart.rowHeight) }
    return Html.element(
      "svg",
      [
        "class": "bars", "role": "img", "aria-labelledby": "\(id)-t \(id)-d", "width": "100%",
        "height": "\(height)",
      ], head + grid + note + rows.joined() + referenceLine)
  }

  /// The numbers of the chart in words.
  private var summary: String {
    bars.map { "\($0.name): \($0.valueText)\($0.note.isEmpty ? "" : ", \($0.note) \(noteHeader)")" }
      .joined(separator: "; ")
  }

  private var grid: String {
    axis.ticks.map { tick in
      line("grid", from: place(tick), BarChart.headerHeight, to: place(tick), axisY)
        + Html.text(
          "text", ["class": "dim middle", "x": place(tick), "y": "\(axisY + 14)"], axis.label(tick))
    }.joined()
  }

  private var referenceLine: String {
    reference.map { line("reference", from: place($0), BarChart.headerHeight, to: place($0), axisY) } ?? ""
  }

  private func row(_ bar: Bar, y: Int) -> String {
    let middle = y + BarChart.rowHeight / 2
    let text = "\(middle + 4)"
    let width = BarChart.percent(BarChart.barsWidth * axis.share(bar.value.median))
    return Html.element(
      "g", ["class": bar.emphasis.rawValue],
      Html.text("text", ["class": "name", "x": "0", "y": text], bar.name)
        + Html.empty(
          "rect",
          [
            "x": BarChart.percent(BarChart.barsFrom), "y": "\(y + 4)", "width": width, "height": "14",
            "rx": "2",
          ])
        + range(bar.value, middle)
        + Html.text("text", ["class": "end", "x": BarChart.percent(BarChart.valueEnd), "y": text], bar.valueText)
        + Html.text("text", ["class": "end", "x": "100%", "y": text], bar.note))
  }

  private func range(_ value: Summary, _ y: Int) -> String {
    if value.min == value.max { return "" }
    let low = place(value.min)
    let high = place(value.max)
    return line("range", from: low, y, to: high, y) + line("range", from: low, y - 4, to: low, y + 4)
      + line("range", from: high, y - 4, to: high, y + 4)
  }

  private func line(_ name: String, from x1: String, _ y1: Int, to x2: String, _ y2: Int) -> String {
    Html.empty("line", ["class": name, "x1": x1, "y1": "\(y1)", "x2": x2, "y2": "\(y2)"])
  }

  private func place(_ value: Double) -> String {
    BarChart.percent(BarChart.barsFrom + BarChart.barsWidth * axis.share(value))
  }

  private static func percent(_ value: Double) -> String { "\(value.formatted(digits: 2))%" }
}
