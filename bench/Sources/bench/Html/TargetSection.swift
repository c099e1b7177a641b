// What was to be reached, and what was.

struct TargetSection {
  let verdicts: [Verdict]

  /// nil: no target concerns these rows.
  var html: String? {
    if verdicts.isEmpty { return nil }
    let counts = [Target.Kind.must, .aim].compactMap(count).joined(separator: ", ")
    return Html.text("p", [:], "\(counts). Ratios of median CPU time unless a unit is given.")
      + Html.element("div", ["class": "card"], table.html)
  }

  private func count(_ kind: Target.Kind) -> String? {
    let measured = verdicts.filter { $0.kind == kind && $0.value != nil }
    if measured.isEmpty { return nil }
    let name = kind == .must ? "Must be reached" : "aimed for"
    return "\(name): \(measured.count(where: \.isReached)) of \(measured.count) reached"
  }

  private var table: HtmlTable {
    var table = HtmlTable(
      caption: "≤: what must not be exceeded", header: ["Target", "Kind", "Limit", "Measured", "Result"])
    table.textColumns = [1]
    table.rows = verdicts.map { verdict in
      [
        Html.escape(verdict.text), verdict.kind.rawValue, "≤ \(Html.escape(verdict.limitText))",
        Html.escape(verdict.valueText ?? "–"), result(verdict),
      ]
    }
    return table
  }

  private func result(_ verdict: Verdict) -> String {
    if verdict.value == nil { return Html.text("span", ["class": "dim"], "not measured") }
    return verdict.isReached
      ? Html.text("span", ["class": "reached"], "✓ reached")
      : Html.text("span", ["class": "missed"], "✗ missed")
  }
}
