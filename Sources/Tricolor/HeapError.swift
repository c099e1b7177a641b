// HeapError: what can go wrong at run time without a bug. A bug (a foreign reference, a double free, a call from the
// wrong thread) stops the process with a sentence instead; see Trap.

import CTricolor

/// Why a call on a heap failed although nobody made a mistake in memory handling. Nothing was changed by the call
/// that threw it, unless that call says otherwise.
public enum HeapError: Error, Equatable, Sendable {
  /// The system refused memory.
  case outOfMemory
  /// The heap's own limit (`HeapOptions.limitBytes`) or its reservation of address space is full, and a whole
  /// collection did not help.
  case limitReached
  /// A size, a count or their product is larger than any object may be.
  case tooLarge
  /// An alignment is larger than the 16 bytes every object has.
  case badAlignment
  /// A type cannot live in the heap as it was registered; the reason is a sentence.
  case badLayout(reason: String)
  /// An option or a `TRICOLOR_...` environment variable is not understood; standard error names it.
  case badOptions
  /// The heap holds as many pairs of layout and size class as it can: 32766.
  case tooManyLayouts
  /// This thread is attached to this heap already.
  case alreadyAttached
  /// This thread is not attached to this heap.
  case notAttached
  /// Detaching while a handle scope or a blocking region is open.
  case scopeOpen
  /// Closing a heap that threads are still attached to.
  case mutatorsAttached
  /// Removing what was never added, or was removed already.
  case notFound
  /// The system refused a thread.
  case threadRefused
  /// A fiber's stack overlaps one that is known already.
  case stackOverlaps
}

extension HeapError {
  /// The error for a status; nil for `.ok`.
  init?(_ status: tri_status) {
    switch status {
    case .ok: return nil
    case .outOfMemory: self = .outOfMemory
    case .limitReached: self = .limitReached
    case .tooLarge: self = .tooLarge
    case .badAlignment: self = .badAlignment
    case .badLayout: self = .badLayout(reason: "the layout contradicts itself or the size")
    case .badOptions: self = .badOptions
    case .tooManyLayouts: self = .tooManyLayouts
    case .alreadyAttached: self = .alreadyAttached
    case .notAttached: self = .notAttached
    case .scopeOpen: self = .scopeOpen
    case .mutatorsAttached: self = .mutatorsAttached
    case .notFound: self = .notFound
    case .threadRefused: self = .threadRefused
    case .stackOverlaps: self = .stackOverlaps
    }
  }

  /// Throws unless the status is `.ok`.
  static func check(_ status: tri_status) throws(HeapError) {
    if let error = HeapError(status) { throw error }
  }

  private var status: tri_status {
    switch self {
    case .outOfMemory: .outOfMemory
    case .limitReached: .limitReached
    case .tooLarge: .tooLarge
    case .badAlignment: .badAlignment
    case .badLayout: .badLayout
    case .badOptions: .badOptions
    case .tooManyLayouts: .tooManyLayouts
    case .alreadyAttached: .alreadyAttached
    case .notAttached: .notAttached
    case .scopeOpen: .scopeOpen
    case .mutatorsAttached: .mutatorsAttached
    case .notFound: .notFound
    case .threadRefused: .threadRefused
    case .stackOverlaps: .stackOverlaps
    }
  }
}

extension HeapError: CustomStringConvertible {
  /// One sentence in English, without a full stop.
  public var description: String {
    if case .badLayout(let reason) = self { return reason }
    return String(cString: tri_status_text(status))
  }
}
