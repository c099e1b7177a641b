// `bench compare`: two results files, and what got better or worse between them.
import ArgumentParser

struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says what got better or worse from one results file to another, beyond noise.",
    discussion: "Ends with status 0; with --fail-on-worse 1 if anything got worse; 2 if a file cannot be used.")

  @Argument(help: "Results as written by --json.")
  var first: String

  @Argument(help: "Results to compare with the first.")
  var second: String

  @Option(help: ArgumentHelp("Smaller changes than this are not named.", valueName: "percent"))
  var threshold = 10.0

  @Option(
    help: ArgumentHelp(
      "Compare multiples of this contender in each file, which takes out how fast the machine was.",
      valueName: "contender"))
  var relativeTo: String?

  @Flag(help: "End with status 1 if anything got worse.")
  var failOnWorse = false

  @Flag(help: "Print every row, not only those that changed.")
  var all = false

  func validate() throws {
    if !(threshold >= 0 && threshold.isFinite) { throw ValidationError("--threshold must be 0 or more") }
  }

  func run() throws {
    let files = [try ResultFile.open(first), try ResultFile.open(second)]
    let comparison = Comparison(
      files[0].results, files[1].results, threshold: threshold / 100, reference: relativeTo)
    guard !comparison.changes.isEmpty else {
      complain(nothingInCommon(files))
      throw ExitCode(2)
    }
    print(
      ComparisonText(
        first: files[0], second: files[1], comparison: comparison, thresholdPercent: threshold,
        reference: relativeTo, showsAll: all
      ).text)
    if failOnWorse && !comparison.worse.isEmpty { throw ExitCode(1) }
  }

  private func nothingInCommon(_ files: [ResultFile]) -> String {
    let unrelated = Comparison(files[0].results, files[1].results, threshold: 0)
    if let relativeTo, !unrelated.changes.isEmpty {
      return "no row of both \(first) and \(second) has \(relativeTo) and another contender"
    }
    return "\(first) and \(second) have no rows in common"
  }
}
