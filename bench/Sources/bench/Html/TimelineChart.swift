// One contender's run from left to right, as SVG: the worst latency of each window as a filled curve on a logarithmic axis,
// and below it the cycles of its collector as bars and its stops as strokes.

struct TimelineChart {
  let id, name: String
  let timeline: Timeline
  /// The top of the axis, the same in all charts beside each other.
  let topMicroseconds: Double
  let emphasis: Emphasis

  private static let width = 340.0, height = 130.0
  private static let plot = Box(x: 44, y: 22, width: 284, height: 66)
  private static let strip = Box(x: 44, y: 92, width: 284, height: 10)
  /// Below it nothing is worth a look.
  private static let lowMicroseconds = 10.0

  private var milliseconds: Double {
    max(Double(timeline.worst.count) * Timeline.windowMilliseconds, 1)
  }
  private var yAxis: LogAxis {
    LogAxis(around: [TimelineChart.lowMicroseconds, max(topMicroseconds, 10 * TimelineChart.lowMicroseconds)])
  }

  var svg: String {
    let head =
      Html.text("title", ["id": "\(id)-t"], "Timeline of \(name)") + Html.text("desc", ["id": "\(id)-d"], summary)
    return Html.element(
      "svg",
      [
        "class": "plot timeline", "role": "img", "aria-labelledby": "\(id)-t \(id)-d",
        "viewBox": "0 0 \(TimelineChart.width.short) \(TimelineChart.height.short)",
      ],
      head + Html.element("g", ["class": emphasis.rawValue], text(name, TimelineChart.plot.x, 13, "name"))
        + grid + area + cycles + stops)
  }

  private var summary: String {
    let worst = (timeline.worst.max() ?? 0) / 1e3
    return
      "longest operation \(worst.short) ms, \(timeline.cycles.count) cycles, \(timeline.stops.count) stops seen in "
      + "\((milliseconds / 1e3).short) s"
  }

  private var grid: String {
    let plot = TimelineChart.plot
    let horizontal = yAxis.ticks.filter { [10, 1000, 100_000, 10_000_000].contains($0) }.map { tick in
      line("grid", plot.x, y(tick), plot.right, y(tick))
        + text(TimelineChart.label(tick), plot.x - 5, y(tick) + 4, "dim end")
    }
    let axis = Axis(upTo: milliseconds / 1e3, steps: 5)
    let vertical = axis.ticks.map { seconds in
      text(
        axis.label(seconds) + (seconds == axis.ticks.last ? " s" : ""), x(seconds * 1e3), TimelineChart.height - 12,
        seconds == 0 ? "dim" : "dim middle")
    }
    return (horizontal + vertical).joined()
  }

  /// Microseconds as what is easiest to read.
  private static func label(_ microseconds: Double) -> String {
    switch microseconds {
    case ..<1e3: "\(microseconds.formatted(digits: 0)) µs"
    case ..<1e6: "\((microseconds / 1e3).formatted(digits: 0)) ms"
    default: "\((microseconds / 1e6).formatted(digits: 0)) s"
    }
  }

  private var area: String {
    let plot = TimelineChart.plot
    let points = timeline.worst.enumerated().flatMap { index, worst -> [String] in
      let begin = Double(index) * Timeline.windowMilliseconds
      let at = y(max(worst, yAxis.low)).formatted(digits: 1)
      return [begin, begin + Timeline.windowMilliseconds].map { "\(x($0).formatted(digits: 1)),\(at)" }
    }
    let closed =
      ["\(plot.x.formatted(digits: 1)),\(plot.bottom)"] + points + [
        "\(x(milliseconds).formatted(digits: 1)),\(plot.bottom)"
      ]
    return Html.empty("polygon", ["class": "area \(emphasis.rawValue)", "points": closed.joined(separator: " ")])
  }

  private var cycles: String {
    let strip = TimelineChart.strip
    return timeline.cycles.filter { $0.begin < milliseconds }.map { cycle in
      let from = x(cycle.begin)
      let to = max(x(min(cycle.end, milliseconds)), from + 1)
      return Html.empty(
        "rect",
        [
          "class": "cycle", "x": from.formatted(digits: 1), "y": "\(strip.y)",
          "width": (to - from).formatted(digits: 1),
          "height": "\(strip.height)",
        ])
    }.joined()
  }

  private var stops: String {
    let strip = TimelineChart.strip
    return timeline.stops.filter { $0.at < milliseconds }.map {
      line("stop", x($0.at), strip.y, x($0.at), strip.bottom)
    }
    .joined()
  }

  private func x(_ at: Double) -> Double {
    TimelineChart.plot.x + TimelineChart.plot.width * min(max(at / milliseconds, 0), 1)
  }

  private func y(_ value: Double) -> Double {
    TimelineChart.plot.bottom - TimelineChart.plot.height * yAxis.share(value)
  }

  private func line(_ name: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    let places = [x1, y1, x2, y2].map { $0.formatted(digits: 1) }
    return Html.empty("line", ["class": name, "x1": places[0], "y1": places[1], "x2": places[2], "y2": places[3]])
  }

  private func text(_ content: String, _ x: Double, _ y: Double, _ name: String) -> String {
    Html.text("text", ["class": name, "x": x.formatted(digits: 1), "y": y.formatted(digits: 1)], content)
  }
}
