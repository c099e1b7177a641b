// The results of one run, and the ratios between their rows.

/// The rows of a run by title.
struct Results {
  private let rows: [String: RowResult]

  init(_ results: [RowResult]) {
    rows = Dictionary(results.map { ($0.row.title, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func row(_ title: String) -> RowResult? { rows[title] }
  var titles: [String] { rows.keys.sorted() }

  func ratio(_ title: String, _ contender: String = "tricolor", to baseline: String) -> Double? {
    rows[title]?.ratio(contender, to: baseline)
  }

  /// Our row against another row's baseline, such as zeroed objects against plain malloc and free.
  func ratio(_ title: String, _ contender: String = "tricolor", to baseline: String, in other: String)
    -> Double?
  {
    guard let own = rows[title]?.cpu(contender), let base = rows[other]?.cpu(baseline), base.median > 0
    else { return nil }
    return own.median / base.median
  }

  func peakMiB(_ title: String, _ contender: String = "tricolor") -> Double? {
    rows[title]?.peakBytes(contender).map { $0 / 1_048_576 }
  }

  func peakRatio(_ title: String, _ contender: String = "tricolor", to baseline: String) -> Double? {
    guard let own = peakMiB(title, contender), let base = peakMiB(title, baseline), base > 0 else {
      return nil
    }
    return own / base
  }

  /// The median of what the runs of one contender say; nil where none does.
  func median(_ title: String, _ contender: String = "tricolor", value: (Sample) -> Double?) -> Double? {
    Summary((rows[title]?.runs(contender) ?? []).compactMap(value))?.median
  }
}
