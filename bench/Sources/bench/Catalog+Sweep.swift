// Rows of the sweep alone: a heap full of small objects, half of them dead.

extension Catalog {
  static func sweep(_ mode: Mode) -> [Row] {
    let mebibytes = mode == .full ? 1024 : 256
    return (mode == .full ? [16, 64, 256] : [64]).map { bytes in
      Row(
        workload: "sweep", title: "sweep \(mebibytes) MiB of \(bytes) B, half dead", program: "sweep",
        arguments: ["\(bytes)", "\(mebibytes)", "3"], unit: .milliseconds, baseline: "tricolor",
        without: Contender.allBut("tricolor"))
    }
  }
}
