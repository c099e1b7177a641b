// How our costs grow with what is alive: one chart per cost, and all their numbers in one table.

struct ScalingSection {
  private struct Size {
    let mib: Int
    let result: RowResult
    /// Random reads of as many cache lines, if they were measured.
    let lines: RowResult?
  }

  /// Smallest first.
  private let rows: [Size]

  /// Any rows; those of another workload are left out.
  init(results: [RowResult]) {
    let own = results.filter { $0.row.workload == "scaling" }
    rows = own.compactMap { result in
      guard result.row.program == "scaling", let mib = result.row.arguments.first.flatMap(Int.init), mib > 0
      else { return nil }
      let count = "\(mib << 20 / Catalog.lineBytes)"
      let lines = own.first { $0.row.program == "lines" && $0.row.arguments.first == count }
      return Size(mib: mib, result: result, lines: lines)
    }.sorted { $0.mib < $1.mib }
  }

  private static let ours = "tricolor"

  /// What is drawn for us alone: a chart with a curve or two.
  private struct Cost {
    let title, unit: String
    let curves: [Curve]
    var isLogarithmic = false
  }

  private struct Curve {
    let name: String
    /// Over the numbers; the caption of the table says the units.
    let header: String
    let column: Column
  }

  private static let costs = [
    Cost(
      title: "Sweeping", unit: "CPU ms per GiB swept",
      curves: [Curve(name: "sweep", header: "sweep ms", column: Column.sweepPerGiB)]),
    Cost(
      title: "Stops of a cycle", unit: "µs, logarithmic",
      curves: [
        Curve(name: "longest", header: "longest stop µs", column: Column.stopLongest),
        Curve(name: "median", header: "median stop µs", column: Column.stopMedian),
      ], isLogarithmic: true),
    Cost(
      title: "Own tables", unit: "KiB per live MiB",
      curves: [Curve(name: "metadata", header: "tables KiB", column: Column.metadata)]),
  ]

  /// nil: no size was measured.
  var html: String? {
    if rows.isEmpty { return nil }
    let charts = ([allocation, marking] + ScalingSection.costs.map(chart)).enumerated().compactMap {
      figure($0.offset, $0.element)
    }
    return Html.element("div", ["class": "grid curves"], charts.joined(separator: "\n"))
      + Html.element("div", ["class": "card"], table.html)
  }

  private typealias Chart = (title: String, unit: String, series: [LineChart.Series], isLogarithmic: Bool)

  /// Of everybody who took part.
  private var allocation: Chart {
    let names = rows.flatMap { $0.result.samples.map(\.contender) }
      .reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let series = names.map { name in
      self.series(name, Emphasis(name)) { $0.result.cpu(name) }
    }
    return ("Replacing an object", "CPU ns, collection included", series, false)
  }

  /// Beside reading a line for each object and one for what each of its three references shows.
  private var marking: Chart {
    let mark = series("tricolor", .ours) { Column.mark.summary($0.result.runs(ScalingSection.ours)) }
    let reads = series("4 random line reads", .limit) { ScalingSection.reads($0) }
    return ("Marking", "CPU ns per live object", [mark, reads], false)
  }

  private static func reads(_ size: Size) -> Summary? {
    size.lines.flatMap { lines in lines.samples.first.flatMap { lines.cpu($0.contender) } }?.times(4)
  }

  private func chart(_ cost: Cost) -> Chart {
    let series = cost.curves.enumerated().map { index, curve in
      self.series(curve.name, index == 0 ? .ours : .oursFreed) {
        curve.column.summary($0.result.runs(ScalingSection.ours))
      }
    }
    return (cost.title, cost.unit, series, cost.isLogarithmic)
  }

  private func series(_ name: String, _ emphasis: Emphasis, _ value: (Size) -> Summary?) -> LineChart.Series {
    let points = rows.compactMap { row in value(row).map { LineChart.Point(x: Double(row.mib), y: $0) } }
    return LineChart.Series(name: name, points: points, emphasis: emphasis)
  }

  /// nil: nothing to draw.
  private func figure(_ index: Int, _ chart: Chart) -> String? {
    let series = chart.series.filter { !$0.points.isEmpty }
    if series.isEmpty { return nil }
    let drawn = LineChart(
      id: "curve-\(index)", title: "\(chart.title) by live heap, \(chart.unit)", yLabel: chart.unit, series: series,
      isLogarithmic: chart.isLogarithmic, xText: { ByteSize.text(mebibytes: Int($0)) })
    return Html.element(
      "figure", ["class": "card"], Html.text("h3", [:], chart.title) + ScalingSection.legend(series) + drawn.svg)
  }

  /// Which curve is whose; nothing where there is one.
  private static func legend(_ series: [LineChart.Series]) -> String {
    if series.count < 2 { return "" }
    let items = series.map { one in
      Html.element(
        "li", [:], Html.element("span", ["class": "swatch \(one.emphasis.rawValue)"], "") + Html.escape(one.name))
    }
    return Html.element("ul", ["class": "legend"], items.joined())
  }

  private var table: HtmlTable {
    let curves = ScalingSection.costs.flatMap(\.curves)
    var table = HtmlTable(
      caption:
        "tricolor, collected, by what is alive: per object replaced, per object marked, four random reads of a line, per GiB swept, the longest "
        + "and the median stop in µs, per live MiB. Medians of the runs.",
      header: ["Live", "replace ns", "mark ns", "4 reads"] + curves.map { Html.escape($0.header) })
    table.rows = rows.map { row in
      let runs = row.result.runs(ScalingSection.ours)
      return [
        ByteSize.text(mebibytes: row.mib).replacing(" ", with: "\u{a0}"),
        row.result.cpu(ScalingSection.ours)?.median.short ?? "–",
      ]
        + curves.map { $0.column.summary(runs)?.median.short ?? "–" }
    }
    return table
  }
}
