// Rows of what the machine allows whoever clears memory or asks for pages: no heap takes part. (Reads of lines are
// among the mark rows.)

extension Catalog {
  static let zeroingTitle = "zeroing (what the machine allows), 64 B slots of a hot 32 KiB"
  static let pagesTitle = "pages (what the machine allows), first touch of 4 KiB"
  /// Rows that are limits, not results.
  static let limitTitles = [linesTitle, zeroingTitle, pagesTitle]

  static func limits(_ mode: Mode) -> [Row] {
    let mebibytes = mode == .full ? "1024" : "256"
    return [
      limit(zeroingTitle, "zeroing", ["5", mebibytes]), limit(pagesTitle, "pages", [mebibytes, "2"]),
    ]
  }

  private static func limit(_ title: String, _ program: String, _ arguments: [String]) -> Row {
    Row(
      workload: "limits", title: title, program: program, arguments: arguments, unit: .nsPerOperation,
      baseline: "glibc", without: Contender.allBut("glibc"))
  }
}
