// Does a second thread get in the way of the first: each replaces random entries of a table of its own?
//
//   threads leaf|references THREADS SLOTS OPERATIONS
//
// The table is that of churn.c. First one thread works alone (one_cpu_ns, one_wall_ns, one_operations), then THREADS
// of them at once, each for as many OPERATIONS over as many SLOTS (cpu_ns, wall_ns, operations). Building the tables is
// not measured. Ideally CPU time per operation stays, and wall time falls by the number of threads.
#include "team.h"

#include "churn_table.h"

static struct {
  bool references;
  uint32_t slots;
  uint64_t operations;
} job;

/// Of each thread, far enough apart that they share no cache line.
static struct member {
  void *table;
  uint64_t seen;
  uint64_t unused[14];
} members[TEAM_MAX] __attribute__((aligned(128)));

static void empty(struct member *member) {
  void **table = member->table;
  for (uint32_t slot = 0; MEM_EXPLICIT_FREE && slot < job.slots; slot++) mem_free(table[slot]);
  if (MEM_EXPLICIT_FREE) mem_free(table);
  mem_root_store(&member->table, NULL);
}

static void churn(int index) {
  struct member *member = &members[index];
  struct random random = {42 + (uint64_t)index};
  mem_root_store(&member->table, mem_array(job.slots));
  churn_fill(member->table, job.references, job.slots, &random);
  team_ready();
  member->seen = churn_run(member->table, job.references, job.slots, job.operations, &random);
  team_done();
  empty(member);
}

int main(int argc, char **argv) {
  if (argc != 5) mem_fail("usage: threads leaf|references THREADS SLOTS OPERATIONS");
  int threads = atoi(argv[2]);
  job.references = strcmp(argv[1], "references") == 0;
  job.slots = (uint32_t)strtoul(argv[3], NULL, 10) & ~1u;
  job.operations = strtoull(argv[4], NULL, 10);
  if (threads < 1 || threads > TEAM_MAX || job.slots == 0) mem_fail("threads: arguments out of range");

  spread_shares();
  mem_start();
  for (int i = 0; i < threads; i++) mem_root(&members[i].table);
  struct measure one = team_run(1, churn), all = team_run(threads, churn);

  uint64_t check = 0;
  for (int i = 0; i < threads; i++) check = check * 31 + members[i].seen;
  report_open("threads", argv[1]);
  report_u64("threads", (uint64_t)threads);
  report_u64("slots", job.slots);
  report_u64("one_cpu_ns", one.cpu_ns);
  report_u64("one_wall_ns", one.wall_ns);
  report_u64("one_operations", job.operations);
  report_close(&all, job.operations * (uint64_t)threads, check);
  mem_finish();
  return 0;
}
