// The command line: what is measured, with whom, how often, and where the numbers go.
import ArgumentParser
import Foundation

@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compares Tricolor with other heaps, each in its own process.",
    subcommands: [Run.self, Compare.self, MakeReport.self],
    defaultSubcommand: Run.self)
}

/// A measurement that did not happen, or may not be trusted; one line on standard error.
func complain(_ message: String) {
  let start = isatty(2) == 1 ? "\r\u{1b}[K" : ""  // over the line of progress
  FileHandle.standardError.write(Data("\(start)bench: \(message)\n".utf8))
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Runs workloads and prints tables (the default).")

  @Flag(help: "Short form (default): every kind of row, at least 3 repetitions.")
  var quick = false

  @Flag(help: "Long form: all sizes, at least 5 repetitions.")
  var full = false

  @Option(name: .customLong("workload"), help: ArgumentHelp("Only this workload.", valueName: "name"))
  var workloads: [String] = []

  @Option(name: .customLong("contender"), help: ArgumentHelp("Only this contender.", valueName: "name"))
  var contenders: [String] = []

  @Option(help: "Interleaved runs of every row (default: 3, with --full 5).")
  var repetitions: Int?

  @Option(help: ArgumentHelp("Write every measurement to this file.", valueName: "file"))
  var json: String?

  @Option(help: ArgumentHelp("Write a report with charts to this file.", valueName: "file"))
  var html: String?

  @Option(help: "Seconds until a single process is killed (default: 180, with --full 300).")
  var timeLimit: Double?

  @Option(help: ArgumentHelp("Folder with the built programs (default: bench/.out).", valueName: "folder"))
  var programs: String?

  @Option(help: ArgumentHelp("Folder with traces (default: bench/traces).", valueName: "folder"))
  var traces: String?

  @Flag(help: "Print the workloads, rows and contenders, and stop.")
  var list = false

  func validate() throws {
    if quick && full { throw ValidationError("--quick and --full exclude each other") }
    if let json, let html, OutputFile.resolved(json) == OutputFile.resolved(html) {
      throw ValidationError("--json and --html must name two files")
    }
    if let repetitions, repetitions < 1 { throw ValidationError("--repetitions must be at least 1") }
    if let timeLimit, !(timeLimit > 0) { throw ValidationError("--time-limit must be above 0") }
  }

  func run() throws {
    let folders = try Folders(programs: programs, traces: traces)
    let discovery = Discovery(programs: folders.programs)
    var problems = Problems()
    let selected = select(discovery.available, all: Contender.all, &problems)

    let traces = TraceFiles(folder: folders.traces, wanted: wantsReplay, &problems)
    defer { traces.removeFiles() }
    let catalog = Catalog(mode: full ? .full : .quick, traces: traces.files)
    let selectedRows = select(catalog.rows, &problems)
    let available = Machine.availableBytes()
    let rows = selectedRows.filter { $0.obstacle(availableBytes: available) == nil }
    let skipped = discovery.skipped + selectedRows.compactMap { $0.obstacle(availableBytes: available) }

    if list {
      printList(catalog, discovery)
      return try problems.finish()
    }
    for line in skipped { print(line) }
    guard discovery.hasJemalloc else {
      complain("jemalloc is missing; install the package libjemalloc-dev (apt-get install libjemalloc-dev)")
      throw ExitCode(1)
    }
    guard exists(folders.programs.appending(path: "pairs-malloc")) else {
      complain("no programs in \(folders.programs.path); build them with make -C bench")
      throw ExitCode(1)
    }
    let jsonFile = try json.map { try OutputFile(path: $0) }
    let htmlFile = try html.map { try OutputFile(path: $0) }

    let machine = Machine.current(programs: folders.programs, contenders: selected)
    print(machine.header)
    var runner = Runner(
      programs: folders.programs, repetitions: repetitions ?? (full ? 5 : 3),
      timeLimit: timeLimit ?? (full ? 300 : 180))
    let results = runner.run(rows, contenders: selected, &problems)

    for line in runner.skipped { print(line) }
    for result in results where !result.samples.isEmpty { print(Table(result).text) }
    if let limits = Limits(results: Results(results)).text { print(limits) }
    let verdicts = Target.all.compactMap { $0.verdict(Results(results), namingUnmeasured: workloads.isEmpty) }
    print(Verdict.text(verdicts))

    let report = Report(
      machine: machine, mode: full ? "full" : "quick", repetitions: runner.repetitions, results: results,
      verdicts: verdicts, skipped: skipped + runner.skipped, problems: problems.lines)
    jsonFile?.write({ try report.json() }, &problems)
    htmlFile?.write({ Data(Page(report: report, results: results).html.utf8) }, &problems)
    try problems.finish()
  }

  /// Decompressing traces takes a moment; not when nobody asked for them.
  private var wantsReplay: Bool { workloads.isEmpty || workloads.contains("replay") }

  private func select(_ rows: [Row], _ problems: inout Problems) -> [Row] {
    let known = Catalog.workloads
    for name in workloads where !known.contains(name) {
      problems.add("unknown workload '\(name)'; known: \(known.joined(separator: ", "))")
    }
    return workloads.isEmpty ? rows : rows.filter { workloads.contains($0.workload) }
  }

  private func select(
    _ available: [Contender], all: [Contender], _ problems: inout Problems
  ) -> [Contender] {
    let known = all.map(\.name)
    for name in contenders where !known.contains(name) {
      problems.add("unknown contender '\(name)'; known: \(known.joined(separator: ", "))")
    }
    return contenders.isEmpty ? available : available.filter { contenders.contains($0.name) }
  }

  private func printList(_ catalog: Catalog, _ discovery: Discovery) {
    print("workloads: \(Catalog.workloads.joined(separator: ", "))")
    for row in catalog.rows { print("  \(row.title)") }
    print("contenders:")
    for contender in discovery.available { print("  \(contender.name)") }
    for line in discovery.skipped { print("  \(line)") }
  }
}
