// Rows of the write barrier in real loops: plain stores, stores with no cycle running, stores while one marks.

extension Catalog {
  static func barriers(_ mode: Mode) -> [Row] {
    let loops = [
      ("tree", "barriers tree rotation (splay)"), ("hash", "barriers hash table replacement"),
      ("list", "barriers linked list splice"),
    ]
    let stores = mode == .full ? "50000000" : "10000000"
    return loops.map { loop, title in
      Row(
        workload: "barriers", title: title, program: "barriers", arguments: [loop, stores, "200000"],
        unit: .nsPerOperation, baseline: "tricolor", without: Contender.allBut("tricolor"))
    }
  }
}

extension Contender {
  /// For rows that only one contender, or a few, can run.
  static func allBut(_ names: String...) -> [String] { all.map(\.name).filter { !names.contains($0) } }
}
