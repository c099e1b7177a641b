// Who pays with memory for time: one scatter for each row that is a whole program.

struct MemoryTimeSection {
  let results: [RowResult]

  /// nil: no such row was measured.
  var html: String? {
    let rows = results.filter { WorkloadText.wholePrograms.contains($0.row.workload) }
    if rows.isEmpty { return nil }
    let figures = rows.enumerated().map { figure("scatter-\($0.offset)", $0.element) }
    return Html.text(
      "p", [:],
      "A heap that wins by using three times the memory has not won: near the lower left corner is good. "
        + "Memory is on a logarithmic scale. The numbers are those of the tables above.")
      + Html.element("div", ["class": "grid"], figures.joined(separator: "\n"))
  }

  private func figure(_ id: String, _ result: RowResult) -> String {
    let points = result.samples.map { contender, _ in
      ScatterChart.Point(
        name: contender, x: result.peak(contender)!.mebibytes, y: result.cpu(contender)!,
        emphasis: Emphasis(contender))
    }
    let chart = ScatterChart(
      id: id, title: "Peak memory and CPU time of \(result.row.title)", xLabel: "peak memory, MiB, logarithmic",
      yLabel: "CPU time, \(result.row.unit.text)", points: points)
    return Html.element("figure", ["class": "card"], Html.text("h3", [:], result.row.title) + chart.svg)
  }
}
