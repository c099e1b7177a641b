// Goals that hold at every size of the heap.

extension Target {
  static var scaling: [Target] {
    [
      Target(kind: .aim, text: "a stop, median, worst size of the heap", limit: 200, unit: " us") { results in
        scalingSizes.compactMap { stop(results, mib: $0) }.max()
      },
      Target(kind: .aim, text: "a stop with arrival, median, 4 GiB / 64 MiB live", limit: 1.3) { results in
        Column.quotient(stop(results, mib: 4096), stop(results, mib: 64))
      },
    ]
  }

  private static let scalingSizes = Catalog.scaling(.full).compactMap { Int($0.arguments[0]) }

  private static func stop(_ results: Results, mib: Int) -> Double? {
    results.median(Catalog.scalingTitle(mib: mib), value: Column.stopMedian.value)
  }
}
