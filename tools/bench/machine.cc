#include "tools/bench/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace clm::bench {
namespace {

struct Stat {
  pid_t parent = 0;
  double own = 0;             // Seconds.
  double ended_children = 0;  // Of those that were waited for.
};

Stat ReadStat(pid_t pid) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(in, line);
  // The name, in parentheses, may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  const std::vector<std::string> fields = absl::StrSplit(line.substr(name_end + 2), ' ');
  constexpr size_t kParent = 1, kUser = 11, kSystem = 12, kChildUser = 13, kChildSystem = 14;
  if (fields.size() <= kChildSystem) return {};
  const auto number = [&](size_t field) {
    int64_t value = 0;
    return absl::SimpleAtoi(fields[field], &value) ? value : 0;
  };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {static_cast<pid_t>(number(kParent)),
          static_cast<double>(number(kUser) + number(kSystem)) / ticks,
          static_cast<double>(number(kChildUser) + number(kChildSystem)) / ticks};
}

}  // namespace

CpuTimes CpuTimes::operator-(const CpuTimes& before) const { return *this + before * -1; }

CpuTimes CpuTimes::operator+(const CpuTimes& more) const {
  return {client + more.client, suite + more.suite,       lifecycle + more.lifecycle,
          echo + more.echo,     postgres + more.postgres, redis + more.redis};
}

CpuTimes CpuTimes::operator*(double factor) const {
  return {client * factor, suite * factor,    lifecycle * factor,
          echo * factor,   postgres * factor, redis * factor};
}

double CpuSeconds(pid_t pid) { return ReadStat(pid).own; }

double CpuSecondsWithChildren(pid_t pid) {
  const Stat stat = ReadStat(pid);
  double sum = stat.own + stat.ended_children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t child = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &child)) continue;
    const Stat of_child = ReadStat(child);
    if (of_child.parent == pid) sum += of_child.own;
  }
  return sum;
}

double OwnCpuSeconds() {
  double sum = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    sum += absl::ToDoubleSeconds(absl::DurationFromTimeval(used.ru_utime) +
                                 absl::DurationFromTimeval(used.ru_stime));
  }
  return sum;
}

MachineTimes ReadMachineTimes() {
  std::ifstream in("/proc/stat");
  std::string word;
  in >> word;
  // user nice system idle iowait irq softirq steal; guests are counted within user.
  constexpr int kFields = 8, kIdle = 3, kIoWait = 4, kSteal = 7;
  MachineTimes times;
  for (int field = 0; field < kFields; ++field) {
    double ticks = 0;
    in >> ticks;
    const double seconds = ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
    times.total += seconds;
    if (field == kSteal) times.stolen += seconds;
    if (field != kIdle && field != kIoWait && field != kSteal) times.busy += seconds;
  }
  return times;
}

double SpinRate(absl::Duration length) {
  const absl::Time begin = absl::Now();
  uint64_t state = 88172645463325252ULL;
  int64_t rounds = 0;
  while (absl::Now() - begin < length) {
    constexpr int kSteps = 20'000;
    for (int i = 0; i < kSteps; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
    }
    ++rounds;
  }
  // So that the loop is not found to be useless.
  asm volatile("" : : "r"(state));
  return static_cast<double>(rounds) / absl::ToDoubleSeconds(absl::Now() - begin);
}

}  // namespace clm::bench
