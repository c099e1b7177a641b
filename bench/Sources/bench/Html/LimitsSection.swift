// What the machine allows, from the rows `lines`, `zeroing` and `pages`, and our figures beside it: as multiples of the least
// that the same work could take (Limits.swift), and in reads of a cache line. A marker cannot do with less than one
// read per object and one per reference.

struct LimitsSection {
  let results: [RowResult]

  private struct Reads {
    let independent: Summary
    let dependent: Summary?
  }

  /// nil: no row of a limit was measured.
  var html: String? {
    let limits = Limits(results: Results(results))
    let parts = [reads] + [zeroing(limits), pages(limits), beside(limits)].map { $0.map { card($0.html) } }
    let found = parts.compactMap { $0 }
    return found.isEmpty ? nil : found.joined()
  }

  // MARK: Figures beside their limits

  private func beside(_ limits: Limits) -> HtmlTable? {
    var table = HtmlTable(
      caption: "tricolor, collected, beside the least that the machine allows: median CPU time",
      header: ["Row", "ns", "Per", "× limit", "Limit, ns", "Limit"])
    table.textColumns = [2, 5]
    table.rows = limits.figures.map { figure in
      [
        Html.escape(figure.name), figure.ns.short, Html.escape(figure.unit), figure.multiple.formatted(digits: 2),
        figure.limitNs.short, Html.escape(figure.limitName),
      ]
    }
    return table.rows.isEmpty ? nil : table
  }

  private func zeroing(_ limits: Limits) -> HtmlTable? {
    var table = HtmlTable(caption: "Clearing memory", header: ["What", "ns", "Bytes", "GB/s"])
    let rows: [(String, String, Double)] =
      [("4 KiB", "4k"), ("32 KiB", "32k"), ("256 KiB", "256k"), ("2 MiB", "2m"), ("cold memory", "cold")]
      .map { ("memset of \($0), per line", "memset_\($1)_ps", 64) }
      + [16, 32, 64, 128].map { ("a slot of a hot 32 KiB, size known to the compiler", "object_\($0)_ps", Double($0)) }
    table.rows = rows.compactMap { name, field, bytes in
      limits.zeroing(field).map { ns in
        [name, ns.formatted(digits: 2), bytes.formatted(digits: 0), (bytes / ns).formatted(digits: 1)]
      }
    }
    return table.rows.isEmpty ? nil : table
  }

  private func pages(_ limits: Limits) -> HtmlTable? {
    var table = HtmlTable(caption: "Pages from the system, per 4 KiB", header: ["What", "ns", "GB/s"])
    let rows: [(String, Double?)] = [
      ("first touch", limits.firstTouch), ("touch after MADV_DONTNEED", limits.pages("again_ps")),
      ("MADV_DONTNEED", limits.pages("discard_ps")), ("first touch, huge pages", limits.pages("huge_first_ps")),
      ("touch after MADV_DONTNEED, huge pages", limits.pages("huge_again_ps")),
      ("MADV_DONTNEED, huge pages", limits.pages("huge_discard_ps")),
    ]
    table.rows = rows.compactMap { name, ns in
      ns.map { [name, $0.short, (4096 / $0).formatted(digits: 1)] }
    }
    return table.rows.isEmpty ? nil : table
  }

  // MARK: Reads

  private var reads: String? {
    guard let row = results.first(where: { $0.row.title == Catalog.linesTitle }),
      let contender = row.samples.first, let independent = row.cpu(contender.contender), independent.median > 0
    else { return nil }
    let dependent = Summary(contender.runs.compactMap { $0["dependent_ns"] })
    let limits = Reads(independent: independent, dependent: dependent)
    return about + card(measured(limits)) + marking(limits) + (own(limits).map { card($0.html) } ?? "")
  }

  private func card(_ content: String) -> String { Html.element("div", ["class": "card"], content) }

  private var about: String {
    Html.text(
      "p", [:],
      "Random reads of 64-byte lines in 640 MB, no heap involved: independent ones, prefetched, which a marker "
        + "can make of a graph, and dependent ones, each address read from the line before, which a shuffled "
        + "list forces on everybody.")
  }

  private func measured(_ limits: Reads) -> String {
    var table = HtmlTable(
      caption: "What the machine does", header: ["Read of one line", "ns", "Range", "GB/s"])
    let all: [(String, Summary?)] = [("independent", limits.independent), ("dependent", limits.dependent)]
    table.rows = all.compactMap { name, summary in
      guard let summary, summary.median > 0 else { return nil }
      return [
        name, summary.median.short, "\(summary.min.short) – \(summary.max.short)",
        (64 / summary.median).formatted(digits: 2),
      ]
    }
    return table.html
  }

  // MARK: Markers beside it

  private func marking(_ limits: Reads) -> String {
    let rows = results.filter { $0.row.workload == "mark" && !Catalog.limitTitles.contains($0.row.title) }
    return rows.enumerated().map { index, result in
      let bars = [limitBar(result, limits)].compactMap { $0 } + result.samples.compactMap { bar(result, $0, limits) }
      let chart = BarChart(
        id: "limit-\(index)", title: "CPU time per marked object of \(result.row.title), ns", bars: bars,
        noteHeader: "line reads", reference: bars.first { $0.emphasis == .limit }?.value.median)
      return Html.element(
        "article", ["class": "card"],
        Html.text("h3", [:], result.row.title)
          + WorkloadSection.figure(chart, "CPU time per marked object, ns; beside it in independent line reads"))
    }.joined(separator: "\n")
  }

  private func bar(
    _ result: RowResult, _ sample: (contender: String, runs: [Sample]), _ limits: Reads
  ) -> BarChart.Bar? {
    guard let ns = LimitsSection.nsPerUnit(result, sample.contender) else { return nil }
    return BarChart.Bar(
      name: sample.contender, value: ns, valueText: ns.median.short,
      note: (ns.median / limits.independent.median).formatted(digits: 2), emphasis: Emphasis(sample.contender))
  }

  /// A random graph needs a line for the object and one for what each of its three references shows; of a shuffled
  /// list every object waits for the one before. A tree in allocation order is no random reading: it has none.
  private func limitBar(_ result: RowResult, _ limits: Reads) -> BarChart.Bar? {
    let shape = result.row.arguments.first
    let limit: (name: String, ns: Summary)? =
      switch shape {
      case "random": ("4 line reads", limits.independent.times(4))
      case "list": limits.dependent.map { ("dependent load", $0) }
      default: nil
      }
    return limit.map { limit in
      BarChart.Bar(
        name: limit.name, value: limit.ns, valueText: limit.ns.median.short,
        note: (limit.ns.median / limits.independent.median).formatted(digits: 2), emphasis: .limit)
    }
  }

  // MARK: Ours in that unit

  private func own(_ limits: Reads) -> HtmlTable? {
    var table = HtmlTable(
      caption: "tricolor, collected: an operation (a node, a marked object) in reads of a line",
      header: ["Row", "ns", "Independent reads", "Dependent reads"])
    table.rows = results.compactMap { result in
      guard !Catalog.limitTitles.contains(result.row.title), !Catalog.crowds.contains(result.row.workload),
        let ns = LimitsSection.nsPerUnit(result, "tricolor")
      else { return nil }
      let dependent = limits.dependent.map { (ns.median / $0.median).formatted(digits: 3) } ?? "–"
      return [
        Html.escape(result.row.title), ns.median.short,
        (ns.median / limits.independent.median).formatted(digits: 2), dependent,
      ]
    }
    return table.rows.isEmpty ? nil : table
  }

  /// Per marked object in mark rows, per operation in all others, whatever unit the row has; nil without a count.
  private static func nsPerUnit(_ result: RowResult, _ contender: String) -> Summary? {
    let marks = result.row.workload == "mark"
    return Summary(
      result.runs(contender).compactMap { run in
        let count = marks ? run["marked"] ?? 0 : run.operations
        return count > 0 ? run.cpuNs / count : nil
      })
  }
}
