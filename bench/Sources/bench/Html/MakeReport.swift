// `bench report`: a results file as one HTML file.
import ArgumentParser
import Foundation

struct MakeReport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Makes one HTML file with charts from a results file.",
    discussion: "Ends with status 0, 1 if the report cannot be written, 2 if the results cannot be used.")

  @Argument(help: "Results as written by --json.")
  var results: String

  @Option(name: .shortAndLong, help: ArgumentHelp("Where the report goes.", valueName: "file"))
  var output: String

  func run() throws {
    if OutputFile.resolved(results) == OutputFile.resolved(output) {
      throw ValidationError("--output would replace the results themselves")
    }
    let file = try OutputFile(path: output)
    let source = try ResultFile.open(results)
    var problems = Problems()
    file.write({ Data(Page(report: source.report, results: source.results).html.utf8) }, &problems)
    try problems.finish()
  }
}
