// The head of the report: on what and with what it was measured, how to read it, and what went wrong.

struct PageHead {
  let report: Report

  var html: String {
    let title = Html.text("h1", [:], "Tricolor beside other heaps")
    return Html.element("header", [:], title + facts + legend + problems + versions)
  }

  private var facts: String {
    let machine = report.machine
    let memory = (Double(machine.memoryBytes) / 1_073_741_824).formatted(digits: 0)
    let runs = report.repetitions == 1 ? "1 run" : "\(report.repetitions) runs"
    return Html.text(
      "p", ["class": "dim"],
      "\(machine.date.prefix(10)) · \(machine.processors) × \(machine.processor) · \(memory) GiB · "
        + "Linux \(machine.kernel) · \(report.mode) form, \(runs) per row and contender")
  }

  private var legend: String {
    let entries = [("ours", "tricolor, collected"), ("ours-freed", "tricolor, freed explicitly"), ("other", "others")]
    let items = entries.map { name, text in
      Html.element("li", [:], Html.element("span", ["class": "swatch \(name)"], "") + Html.escape(text))
    }
    return Html.text(
      "p", [:],
      "Bars are medians; the thin line is the range from the fastest run to the slowest. CPU time is that of all "
        + "threads, collection included; memory is the peak of the process. The dotted line is the contender "
        + "that ratios refer to. Less is better everywhere.")
      + Html.element("ul", ["class": "legend"], items.joined())
  }

  private var problems: String {
    let lines = report.problems + report.skipped
    if lines.isEmpty { return "" }
    let items = lines.map { Html.text("li", [:], $0) }.joined()
    let title = report.problems.isEmpty ? "Not measured" : "This run had problems"
    return Html.element(
      "div", ["class": report.problems.isEmpty ? "card" : "card problems"],
      Html.text("h3", [:], title) + Html.element("ul", [:], items))
  }

  private var versions: String {
    var table = HtmlTable(caption: "As each contender names itself", header: ["Contender", "Version"])
    table.textColumns = [1]
    table.rows = report.machine.versions.sorted { $0.key < $1.key }
      .map { [Html.escape($0.key), Html.escape($0.value)] }
    if table.rows.isEmpty { return "" }
    return Html.element("details", [:], Html.text("summary", [:], "Versions") + table.html)
  }
}
