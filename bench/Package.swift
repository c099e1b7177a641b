// swift-tools-version: 6.2
// The bench driver: runs the programs that the Makefile builds and compares them.
import PackageDescription

let package = Package(
  name: "bench",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .executableTarget(
      name: "bench",
      dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
    .testTarget(name: "benchTests", dependencies: ["bench"]),
  ],
  swiftLanguageModes: [.v6]
)
