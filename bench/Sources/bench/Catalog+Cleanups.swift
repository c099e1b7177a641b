// Rows of what hangs on objects: a cleanup each, a weak reference each, beside a destroy callback and nothing.

extension Catalog {
  static func cleanups(_ mode: Mode) -> [Row] {
    let millions = mode == .full ? 10 : 1
    let ways = [
      ("none", "and nothing else"), ("destroy", "with a destroy callback"), ("cleanup", "with a cleanup each"),
      ("weak", "with a weak reference each"),
    ]
    return ways.map { way, text in
      Row(
        workload: "cleanups", title: "\(millions) M objects of 64 B, \(text)", program: "cleanups",
        arguments: [way, "64", "\(millions * 1_000_000)"], unit: .milliseconds, baseline: "tricolor",
        without: Contender.allBut("tricolor"))
    }
  }
}
