// What the machine does besides being measured: how fast it is at the moment, and who uses it.
#ifndef CLM_TOOLS_BENCH_MACHINE_H_
#define CLM_TOOLS_BENCH_MACHINE_H_

#include <sys/types.h>

#include "absl/time/time.h"

namespace clm::bench {

// Processor time in seconds, user and system, of everybody in the path.
struct CpuTimes {
  double client = 0;     // This process and its helpers that have ended: pgbench, psql.
  double suite = 0;      // Without the lifecycle service when that has a process of its own.
  double lifecycle = 0;  // That process.
  double echo = 0;       // The servers that the suite is compared with.
  double postgres = 0;   // With its sessions, those that ended included.
  double redis = 0;
  double total() const { return client + suite + lifecycle + echo + postgres + redis; }
  CpuTimes operator-(const CpuTimes& before) const;
  CpuTimes operator+(const CpuTimes& more) const;
  CpuTimes operator*(double factor) const;
};

// Of one process that runs, without its children; 0 when there is none.
double CpuSeconds(pid_t pid);
// Of the process, its children and those of them that have ended.
double CpuSecondsWithChildren(pid_t pid);
// Of this process and of its children that have ended and were waited for, without those that run.
double OwnCpuSeconds();

// Of the whole machine, since it was started.
struct MachineTimes {
  double busy = 0;
  double stolen = 0;  // Wanted by this machine, given to another one by its host.
  double total = 0;   // Seconds of all processors.
};
MachineTimes ReadMachineTimes();

// Rounds of a fixed loop per second, on one thread for `length`: falls when somebody else uses the
// processor, or when it is clocked down.
double SpinRate(absl::Duration length);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_MACHINE_H_
