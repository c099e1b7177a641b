// Cgroup: the limits of the container this process runs in: memory, and a share of the CPUs.
//
// Version 2 (memory.max, memory.high, cpu.max) and version 1 (memory.limit_in_bytes, cpu.cfs_quota_us), also both at
// once. Where the process is comes from /proc/self/cgroup, where the files are from /proc/self/mountinfo. From its
// group up to the root of the mount every group may have a limit; the smallest counts. What is missing, is no number,
// is negative or has more than 64 bits is no limit: a system whose files we do not understand limits nothing.
//
// Callers     any thread; a read costs some 50 to 200 us, so what was read is kept for TRI_CGROUP_AGE_NS.
// Not here    what is done about it (heap/limits.c).
#ifndef TRI_OS_CGROUP_H
#define TRI_OS_CGROUP_H

#include "base/config.h"

/// Limits are changed rarely, by hand or by an orchestrator; ten seconds late is soon enough.
#define TRI_CGROUP_AGE_NS UINT64_C(10000000000)

typedef struct tri_cgroup_limits {
  uint64_t memory_bytes; // 0: none
  uint64_t cpu_permille; // thousandths of a CPU that may be used on average; 0: no quota
} tri_cgroup_limits;

/// What holds for this process, at most `age_ns` old.
tri_cgroup_limits tri_cgroup_read(uint64_t age_ns);
/// For tests: the files are looked for below this directory (proc/self/... and the mount points); NULL: as they are.
void tri_cgroup_root_testing(const char *root);

#endif
