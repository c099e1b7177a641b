// ScenarioTests: bugs that were found by reading, kept as what one sees when they come back (Tests/Support/Model,
// scenarios.h). Each is played in a process of its own, which says what does not hold, or is ended when it hangs.

import Testing
import TricolorModel

@Suite(.serialized, .timeLimit(.minutes(1))) struct ScenarioTests {
  @Test("an object stored into a fresh one by a thread without barrier yet is not lost")
  func movedBeforeTheBarrier() async {
    await #expect(processExitsWith: .success) { #expect(scenario_object_moved_before_the_barrier_survives()) }
  }

  @Test("a young object stored into an old one by a thread without barrier yet is not lost")
  func storedIntoOldBeforeTheBarrier() async {
    await #expect(processExitsWith: .success) {
      #expect(scenario_old_object_stored_into_before_the_barrier_remembers())
    }
  }

  @Test("a slot that waits is not scanned for a stale word that leads to it")
  func staleWordToWaitingSlot() async {
    await #expect(processExitsWith: .success) { #expect(scenario_waiting_slot_is_not_scanned()) }
  }

  @Test("a slot freed where leaves once were is not handed out as a leaf")
  func freedIntoAnotherClass() async {
    await #expect(processExitsWith: .success) { #expect(scenario_free_returns_a_slot_to_its_own_class()) }
  }

  @Test("a large object in the place of one freed early in a cycle keeps what it refers to")
  func freedBeforeTheBarrier() async {
    await #expect(processExitsWith: .success) { #expect(scenario_free_before_the_barrier_leaves_no_mark()) }
  }

  @Test("objects that another thread frees as fast as they are made are never taken for freed before")
  func handedOver() async {
    await #expect(processExitsWith: .success) { #expect(scenario_handed_over_objects_are_freed_once()) }
  }

  @Test("two threads that collect two heaps crosswise do not wait for each other")
  func crosswise() async {
    await #expect(processExitsWith: .success) { #expect(scenario_two_heaps_collected_crosswise_end()) }
  }

  @Test("a forced cycle does not hang while a destroy callback frees a handle")
  func handleFreedInCallback() async {
    await #expect(processExitsWith: .success) { #expect(scenario_destroy_callback_may_free_a_handle()) }
  }

  @Test("an object that a blocked thread holds only in a register is not lost")
  func heldInARegister() async {
    await #expect(processExitsWith: .success) { #expect(scenario_blocked_registers_are_roots()) }
  }

  @Test("a weak load does not answer the object that took the dead one's place")
  func weakLoadAndReuse() async {
    await #expect(processExitsWith: .success) { #expect(scenario_weak_load_does_not_answer_the_next_object()) }
  }

  @Test("weak references of a span that is about to be swept are read, made and freed")
  func weakAndSweep() async {
    await #expect(processExitsWith: .success) { #expect(scenario_weak_references_of_a_span_about_to_be_swept()) }
  }

  @Test("what a weak load answers just before the final stop survives, and what it is the key of")
  func weakLoadAndStop() async {
    await #expect(processExitsWith: .success) { #expect(scenario_weak_load_just_before_the_final_stop()) }
  }

  @Test("what a weak load answers before the barrier is on is not lost")
  func weakLoadBeforeBarrier() async {
    await #expect(processExitsWith: .success) { #expect(scenario_weak_load_before_the_barrier_survives()) }
  }
}
