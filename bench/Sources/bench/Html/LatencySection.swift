// How long the operations of a row took: for all contenders the share of operations against their latency, and for each a
// timeline with the worst of every 50 ms above the cycles and stops of its collector.

struct LatencySection {
  let id: String
  let result: RowResult

  /// nil: the row has no histograms.
  var html: String? {
    let found = result.samples.filter { result.latencies($0.contender) != nil }
    if found.isEmpty { return nil }
    let note = result.busyNote.map { Html.text("p", ["class": "missed"], $0) } ?? ""
    return note + Html.element("div", ["class": "latency"], distribution(found.map(\.contender)) + timelines)
  }

  private func distribution(_ contenders: [String]) -> String {
    // Only others need colours.
    let others = contenders.filter { Emphasis($0) == .other }
    let curves = contenders.map { contender in
      PercentileChart.Curve(
        name: contender, latencies: result.latencies(contender)!, emphasis: Emphasis(contender),
        hue: others.firstIndex(of: contender) ?? 0)
    }
    let chart = PercentileChart(id: "\(id)-latency", title: "Latency of \(result.row.title)", curves: curves)
    let legend = curves.map { curve in
      Html.element("li", [:], Html.element("span", ["class": "swatch \(curve.style)"], "") + Html.escape(curve.name))
    }
    return Html.element(
      "figure", [:],
      Html.text("figcaption", [:], "Latency, µs, by the share of operations (%) that took no longer")
        + Html.element("ul", ["class": "legend"], legend.joined()) + chart.svg)
  }

  /// All to one scale, so that heights can be compared; of the first run.
  private var timelines: String {
    let all = result.samples.compactMap { sample in
      sample.runs.first.flatMap(Timeline.init).map { (name: sample.contender, timeline: $0) }
    }
    let top = all.flatMap { $0.timeline.worst }.max() ?? 1
    let charts = all.enumerated().map { index, one in
      TimelineChart(
        id: "\(id)-time-\(index)", name: one.name, timeline: one.timeline, topMicroseconds: top,
        emphasis: Emphasis(one.name)
      ).svg
    }
    let caption =
      "The longest operation of every 50 ms, one scale for all; below it cycles (bars) and stops (strokes) of the "
      + "collector"
    return Html.element(
      "figure", [:],
      Html.text("figcaption", [:], caption) + Html.element("div", ["class": "grid"], charts.joined()))
  }
}
