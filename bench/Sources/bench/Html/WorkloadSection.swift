// One workload: for each of its rows CPU time and peak memory side by side, and the same as a table.

struct WorkloadSection {
  let workload: String
  let rows: [(id: String, result: RowResult)]

  var about: String { WorkloadText.about(workload).map { Html.text("p", [:], $0) } ?? "" }

  var cards: String { rows.map { card($0.id, $0.result) }.joined(separator: "\n") }

  private func card(_ id: String, _ result: RowResult) -> String {
    let figures = time(id, result) + memory(id, result)
    let latencies = LatencySection(id: id, result: result).html ?? ""
    let numbers = Html.element(
      "details", [:], Html.text("summary", [:], "Numbers") + WorkloadSection.table(result).html)
    return Html.element(
      "article", ["class": "card", "id": id],
      Html.text("h3", [:], result.row.title) + latencies + Html.element("div", ["class": "pair"], figures) + numbers)
  }

  private func time(_ id: String, _ result: RowResult) -> String {
    let baseline = result.row.baseline
    let bars = result.samples.map { sample in
      let cpu = result.cpu(sample.contender)!
      return BarChart.Bar(
        name: sample.contender, value: cpu, valueText: cpu.median.short,
        note: result.ratio(sample.contender, to: baseline)?.formatted(digits: 2) ?? "–",
        emphasis: Emphasis(sample.contender))
    }
    let chart = BarChart(
      id: "\(id)-cpu", title: "CPU time of \(result.row.title), \(result.row.unit.text)", bars: bars,
      noteHeader: "× \(baseline)", reference: result.cpu(baseline)?.median)
    return WorkloadSection.figure(chart, "CPU time, \(result.row.unit.text)")
  }

  private func memory(_ id: String, _ result: RowResult) -> String {
    let baseline = result.row.baseline
    let base = result.peak(baseline)
    let bars = result.samples.map { sample in
      let peak = result.peak(sample.contender)!.mebibytes
      let ratio = base.flatMap { $0.median > 0 ? peak.median / $0.mebibytes.median : nil }
      return BarChart.Bar(
        name: sample.contender, value: peak, valueText: peak.median.mebibyteText,
        note: ratio?.formatted(digits: 2) ?? "–", emphasis: Emphasis(sample.contender))
    }
    let chart = BarChart(
      id: "\(id)-peak", title: "Peak memory of \(result.row.title), MiB", bars: bars,
      noteHeader: "× \(baseline)", reference: base?.mebibytes.median)
    return WorkloadSection.figure(chart, "Peak memory, MiB")
  }

  static func figure(_ chart: BarChart, _ caption: String) -> String {
    Html.element("figure", [:], Html.text("figcaption", [:], caption) + chart.svg)
  }

  /// The numbers of the charts, and those that have none.
  static func table(_ result: RowResult) -> HtmlTable {
    let baseline = result.row.baseline
    let columns = Column.present(in: result)
    var table = HtmlTable(
      caption: Html.escape("\(result.row.title): \(result.row.unit.text), medians; ranges below"),
      header: ["Contender", "CPU", "Wall", "× \(Html.escape(baseline))", "Peak MiB", "Cycles"]
        + columns.map { Html.escape($0.header) })
    table.rows = result.samples.map { contender, runs in
      let wall = Summary(runs.map { result.scaled($0.wallNs, $0) })!
      let cycles = Summary(runs.compactMap { $0["cycles"] })?.median ?? 0
      return [
        Html.escape(contender), withRange(result.cpu(contender)!, \.short), withRange(wall, \.short),
        result.ratio(contender, to: baseline)?.formatted(digits: 2) ?? "–",
        withRange(result.peak(contender)!.mebibytes, \.mebibyteText),
        cycles == 0 ? "–" : cycles.formatted(digits: 0),
      ] + columns.map { $0.summary(runs)?.median.formatted(digits: $0.digits) ?? "–" }
    }
    return table
  }

  private static func withRange(_ value: Summary, _ text: (Double) -> String) -> String {
    "\(text(value.median))<small>\(text(value.min)) – \(text(value.max))</small>"
  }
}

extension Summary {
  var mebibytes: Summary {
    Summary(median: median / 1_048_576, min: min / 1_048_576, max: max / 1_048_576)
  }
}

extension Double {
  /// A tenth of a MiB says nothing beside thousands, and has no room there.
  fileprivate var mebibyteText: String { formatted(digits: self < 1000 ? 1 : 0) }
}
