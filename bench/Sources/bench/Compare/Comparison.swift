// What changed between two results files, beyond noise.
//
// A change counts if the ranges of all runs (min to max) do not overlap, and the larger median is above the
// smaller by more than the threshold: swapping the two files turns "worse" into "better" and nothing else.

struct Comparison {
  enum Quantity: String, CaseIterable {
    case cpu = "CPU"
    case peak
    /// Where operations were timed one by one.
    case p999 = "p99.9"
  }

  enum Judgement: String {
    case better
    case worse
    case withinNoise = "same"
  }

  struct Change {
    let row: Row
    let contender: String
    let quantity: Quantity
    let before, after: Summary
    let judgement: Judgement

    var ratio: Double { Comparison.ratio(after.median, before.median) }
  }

  private(set) var changes: [Change] = []
  /// Rows and contenders that only one file has, and rows without the reference: one line each.
  private(set) var notCompared: [String] = []

  var worse: [Change] { changes.filter { $0.judgement == .worse } }
  var better: [Change] { changes.filter { $0.judgement == .better } }

  /// `threshold` 0.1 is 10 %; with a reference, its multiples are compared instead of times and bytes.
  init(_ before: [RowResult], _ after: [RowResult], threshold: Double, reference: String? = nil) {
    for old in before {
      guard let new = after.first(where: { $0.row.title == old.row.title }) else {
        notCompared.append("\(old.row.title): only in the first file")
        continue
      }
      compare(old, new, threshold, reference)
    }
    for new in after where !before.contains(where: { $0.row.title == new.row.title }) {
      notCompared.append("\(new.row.title): only in the second file")
    }
  }

  private mutating func compare(
    _ old: RowResult, _ new: RowResult, _ threshold: Double, _ reference: String?
  ) {
    let title = old.row.title
    guard old.row.unit == new.row.unit else {
      notCompared.append("\(title): measured in different units")
      return
    }
    if let reference, old.runs(reference).isEmpty || new.runs(reference).isEmpty {
      notCompared.append("\(title): without \(reference)")
      return
    }
    let names = old.samples.map(\.contender)
    let newNames = new.samples.map(\.contender)
    for name in names where !newNames.contains(name) {
      notCompared.append("\(title), \(name): only in the first file")
    }
    for name in newNames where !names.contains(name) {
      notCompared.append("\(title), \(name): only in the second file")
    }
    for name in names where newNames.contains(name) && name != reference {
      for quantity in Quantity.allCases where Comparison.has(old, new, name, quantity) {
        guard let before = Comparison.summary(old, name, quantity, reference),
          let after = Comparison.summary(new, name, quantity, reference)
        else {
          notCompared.append("\(title), \(name), \(quantity.rawValue): the reference is zero")
          continue
        }
        changes.append(
          Change(
            row: old.row, contender: name, quantity: quantity, before: before, after: after,
            judgement: Comparison.judge(before, after, threshold: threshold)))
      }
    }
  }

  static func judge(_ before: Summary, _ after: Summary, threshold: Double) -> Judgement {
    if before.max < after.min && ratio(after.median, before.median) > 1 + threshold { return .worse }
    if after.max < before.min && ratio(before.median, after.median) > 1 + threshold { return .better }
    return .withinNoise
  }

  private static func ratio(_ value: Double, _ base: Double) -> Double {
    value == base ? 1 : value / base  // infinite for a base of zero
  }

  private static func summary(
    _ result: RowResult, _ contender: String, _ quantity: Quantity, _ reference: String?
  ) -> Summary? {
    let own = values(result, contender, quantity)
    guard let reference else { return Summary(own) }
    return Summary(own, inUnitsOf: values(result, reference, quantity))
  }

  private static func has(_ old: RowResult, _ new: RowResult, _ contender: String, _ quantity: Quantity) -> Bool {
    quantity != .p999 || ![old, new].contains { values($0, contender, quantity).isEmpty }
  }

  private static func values(_ result: RowResult, _ contender: String, _ quantity: Quantity) -> [Double] {
    result.runs(contender).compactMap { run in
      switch quantity {
      case .cpu: result.scaled(run.cpuNs, run)
      case .peak: run.peakBytes
      case .p999: run.latencies?.quantileNs(0.999)
      }
    }
  }
}

extension Summary {
  /// The ratio of the medians, with the range of the ratios run by run: run i of both was made side by side, so
  /// a slow moment of the machine cancels. The ratio of the medians always lies in that range. Where the numbers
  /// of runs differ there are no pairs, and the range is the widest one possible.
  init?(_ values: [Double], inUnitsOf reference: [Double]) {
    guard let own = Summary(values), let base = Summary(reference), base.min > 0 else { return nil }
    let ratio = own.median / base.median
    if values.count == reference.count, let paired = Summary(zip(values, reference).map { $0 / $1 }) {
      self.init(median: ratio, min: paired.min, max: paired.max)
    } else {
      self.init(median: ratio, min: own.min / base.max, max: own.max / base.min)
    }
  }
}
