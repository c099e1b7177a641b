// swift-tools-version: 6.2
import PackageDescription

// The collector's Swift half is also compiled as Embedded Swift, so that C programs get a small library that needs
// nothing but libc: swift build -c release --traits EmbeddedC --product tricolor
let embeddable: [SwiftSetting] = [
  .enableExperimentalFeature("Embedded", .when(traits: ["EmbeddedC"]))
]

let package = Package(
  name: "tricolor",
  products: [
    .library(name: "Tricolor", targets: ["Tricolor"]),
    .library(name: "tricolor-c", type: .dynamic, targets: ["TricolorC"]),
  ],
  traits: [
    .trait(name: "EmbeddedC", description: "Embedded Swift build of the C library"),
    .default(enabledTraits: []),
  ],
  targets: [
    .target(
      name: "CTricolor",
      path: "CRuntime",
      cSettings: [
        .define("_GNU_SOURCE"),
        .headerSearchPath("src"),
        .define("TRI_CHECKS", to: "1", .when(configuration: .debug)),
        .define("TRI_STEPS", to: "1", .when(configuration: .debug)),
      ]
    ),
    .target(name: "TricolorCore", dependencies: ["CTricolor"], swiftSettings: embeddable),
    .target(name: "TricolorC", dependencies: ["TricolorCore", "CTricolor"], swiftSettings: embeddable),
    .target(name: "Tricolor", dependencies: ["TricolorCore", "CTricolor"]),
    // A C library that plays random programs against a shadow graph; used by tests and by the soak.
    .target(name: "TricolorModel", dependencies: ["CTricolor", "TricolorC"], path: "Tests/Support/Model"),
    .executableTarget(
      name: "tricolor-soak", dependencies: ["TricolorModel", "CTricolor", "TricolorC"], path: "Tests/Support/Soak"),
    .testTarget(name: "TricolorCoreTests", dependencies: ["TricolorCore", "CTricolor"]),
    .testTarget(name: "CTricolorTests", dependencies: ["CTricolor", "TricolorCore", "TricolorC"]),
    .testTarget(name: "CrashTests", dependencies: ["CTricolor", "TricolorCore", "TricolorC"]),
    .testTarget(name: "ModelTests", dependencies: ["TricolorModel", "CTricolor"]),
    .testTarget(name: "TricolorTests", dependencies: ["Tricolor", "CTricolor"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
