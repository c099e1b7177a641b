// The report: one HTML file that needs nothing else. What was measured and on what, the goals, then every
// workload, then how far the machine itself would allow to go.

struct Page {
  let report: Report
  /// With at least one contender each.
  private let results: [RowResult]

  init(report: Report, results: [RowResult]) {
    self.report = report
    self.results = results.filter { !$0.samples.isEmpty }
  }

  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Tricolor beside other heaps</title>
    <style>
    \(PageStyle.css)
    </style>
    </head>
    <body>
    \(PageHead(report: report).html)
    \(navigation)
    <main>
    \(sections.map(\.html).joined(separator: "\n"))
    </main>
    </body>
    </html>

    """
  }

  private struct Section {
    let id, title, content: String

    var html: String {
      Html.element("section", ["id": id], Html.text("h2", [:], title) + "\n" + content)
    }
  }

  private var sections: [Section] {
    var sections: [Section] = []
    func add(_ id: String, _ title: String, _ content: String?) {
      if let content { sections.append(Section(id: id, title: title, content: content)) }
    }
    add("targets", "Targets", TargetSection(verdicts: report.targets).html)
    add("overview", "Overview", OverviewSection(results: charted).html)
    for (index, workload) in workloads.enumerated() {
      let section = WorkloadSection(workload: workload, rows: rows(of: workload))
      let curves = workload == "scaling" ? ScalingSection(results: results).html : nil
      add("workload-\(index)", workload, section.about + (curves ?? "") + section.cards)
    }
    add("memory-time", "Memory against time", MemoryTimeSection(results: charted).html)
    add("limits", "Limits of the machine", LimitsSection(results: results).html)
    if sections.isEmpty { add("nothing", "Nothing measured", Html.text("p", [:], "These results have no rows.")) }
    return sections
  }

  /// The rows that no heap takes part in have their own section.
  private var charted: [RowResult] {
    results.filter { !Catalog.limitTitles.contains($0.row.title) && $0.row.program != "lines" }
  }

  private var workloads: [String] {
    charted.map(\.row.workload).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// Rows keep their place in the whole list, which names their figures.
  private func rows(of workload: String) -> [(id: String, result: RowResult)] {
    charted.enumerated().filter { $0.element.row.workload == workload }
      .map { (id: "row-\($0.offset)", result: $0.element) }
  }

  private var navigation: String {
    let links = sections.map { Html.element("li", [:], Html.text("a", ["href": "#\($0.id)"], $0.title)) }
    return Html.element("nav", ["aria-label": "Sections"], Html.element("ul", [:], links.joined()))
  }
}
