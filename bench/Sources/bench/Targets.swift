// What counts as fast enough, and how far a run is from it.

struct Target {
  enum Kind: String, Codable {
    case must
    case aim
  }

  let kind: Kind
  let text: String
  let limit: Double
  var unit = ""
  let value: (Results) -> Double?

  /// nil when this run did not measure it; `naming`: what must be reached is named even then.
  func verdict(_ results: Results, namingUnmeasured naming: Bool) -> Verdict? {
    let value = value(results)
    if value == nil && !(naming && kind == .must) { return nil }
    return Verdict(kind: kind, text: text, limit: limit, unit: unit, value: value)
  }
}

struct Verdict: Codable {
  let kind: Target.Kind
  let text: String
  let limit: Double
  let unit: String
  /// nil: not measured in this run.
  let value: Double?

  var isReached: Bool { value.map { $0 <= limit } ?? false }

  /// With its unit; nil when not measured.
  var valueText: String? { value.map { $0.formatted(digits: $0 < 1000 ? 2 : 0) + unit } }
  var limitText: String { limit.formatted(digits: 2) + unit }

  private func line(width: Int) -> String {
    let head = "  \(kind.rawValue.padded(4))  \(text.padded(width))"
    guard let value, let valueText else { return "\(head)  not measured" }
    let distance = limit > 0 ? "\((value / limit).formatted(digits: 2)) of the limit" : ""
    return "\(head)  \(valueText.leftPadded(9)) <= "
      + "\(limitText.padded(10))  \(isReached ? "reached" : "MISSED ")  \(distance)"
  }

  static func text(_ verdicts: [Verdict]) -> String {
    guard !verdicts.isEmpty else { return "\ntargets: none for the rows of this run" }
    let width = verdicts.map(\.text.count).max() ?? 0
    let lines = verdicts.map { $0.line(width: width) }
    return (["\ntargets   [ratios of median CPU time unless a unit is given]"] + lines)
      .joined(separator: "\n")
  }
}
