// How our costs grow with what is alive: one chart per cost, and all their numbers in one table.

struct ScalingSection {
  /// By size, smallest first.
  private let rows: [(mib: Int, result: RowResult)]

  /// Any rows; those of another workload are left out.
  init(results: [RowResult]) {
    rows = results.compactMap { result in
      guard result.row.workload == "scaling", let mib = result.row.arguments.first.flatMap(Int.init), mib > 0
      else { return nil }
      return (mib, result)
    }.sorted { $0.mib < $1.mib }
  }

  private static let ours = "tricolor"

  /// What is drawn for us alone: a chart, or two curves in one.
  private static let costs: [(title: String, unit: String, curves: [(name: String, column: Column)])] = [
    ("Marking", "CPU ns per live object", [("mark", Column.mark)]),
    ("Sweeping", "CPU µs per MiB swept", [("sweep", Column.sweep)]),
    ("Stops of a cycle", "µs", [("longest", Column.stopLongest), ("median", Column.stopMedian)]),
    ("Own tables", "KiB per live MiB", [("metadata", Column.metadata)]),
  ]

  /// nil: no size was measured.
  var html: String? {
    if rows.isEmpty { return nil }
    let charts = ([allocation] + ScalingSection.costs.map(chart)).enumerated().compactMap {
      figure($0.offset, $0.element)
    }
    return Html.element("div", ["class": "grid curves"], charts.joined(separator: "\n"))
      + Html.element("div", ["class": "card"], table.html)
  }

  private typealias Chart = (title: String, unit: String, series: [LineChart.Series])

  /// Of everybody who took part.
  private var allocation: Chart {
    let names = rows.flatMap { $0.result.samples.map(\.contender) }
      .reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let series = names.map { name in
      self.series(name, Emphasis(name)) { $0.cpu(name) }
    }
    return ("Replacing an object", "CPU ns, collection included", series)
  }

  private func chart(_ cost: (title: String, unit: String, curves: [(name: String, column: Column)])) -> Chart {
    let series = cost.curves.enumerated().map { index, curve in
      self.series(curve.name, index == 0 ? .ours : .oursFreed) { curve.column.summary($0.runs(ScalingSection.ours)) }
    }
    return (cost.title, cost.unit, series)
  }

  private func series(_ name: String, _ emphasis: Emphasis, _ value: (RowResult) -> Summary?) -> LineChart.Series {
    let points = rows.compactMap { row in value(row.result).map { LineChart.Point(x: Double(row.mib), y: $0) } }
    return LineChart.Series(name: name, points: points, emphasis: emphasis)
  }

  /// nil: nothing to draw.
  private func figure(_ index: Int, _ chart: Chart) -> String? {
    let series = chart.series.filter { !$0.points.isEmpty }
    if series.isEmpty { return nil }
    let drawn = LineChart(
      id: "curve-\(index)", title: "\(chart.title) by live heap, \(chart.unit)", yLabel: chart.unit, series: series,
      xText: { ByteSize.text(mebibytes: Int($0)) })
    return Html.element("figure", ["class": "card"], Html.text("h3", [:], chart.title) + drawn.svg)
  }

  private var table: HtmlTable {
    let columns = ScalingSection.costs.flatMap { $0.curves.map(\.column) }
    var table = HtmlTable(
      caption: "tricolor, collected, by what is alive; medians of the runs",
      header: ["Live", "replace ns"] + columns.map { Html.escape($0.header) })
    table.rows = rows.map { row in
      let runs = row.result.runs(ScalingSection.ours)
      return [ByteSize.text(mebibytes: row.mib), row.result.cpu(ScalingSection.ours)?.median.short ?? "–"]
        + columns.map { $0.summary(runs).map { $0.median.short } ?? "–" }
    }
    return table
  }
}
