// Where the programs and the traces are, whatever folder the driver is started from.
import ArgumentParser
import Foundation

struct Folders {
  let programs: URL
  let traces: URL

  /// Errors: the bench folder cannot be found and was not given.
  init(programs: String?, traces: String?) throws {
    let home = Folders.benchFolder()
    guard let programFolder = programs.map(Folders.url) ?? home?.appending(path: ".out") else {
      complain("cannot find bench/programs from here; say where the built programs are with --programs")
      throw ExitCode(1)
    }
    self.programs = programFolder
    self.traces = traces.map(Folders.url) ?? (home ?? programFolder).appending(path: "traces")
  }

  private static func url(_ path: String) -> URL { URL(filePath: path) }

  /// The folder that holds programs/memory.h: here, bench/ below, or above the driver's own file.
  private static func benchFolder() -> URL? {
    let here = URL(filePath: FileManager.default.currentDirectoryPath)
    var candidates = [here, here.appending(path: "bench")]
    var folder = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    for _ in 0..<6 {
      folder.deleteLastPathComponent()
      candidates.append(folder)
    }
    return candidates.first { exists($0.appending(path: "programs/memory.h")) }
  }
}

func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }
