// Any text is read or refused, in bounded time, and what is read is printed, read again, evaluated
// and turned into SQL without trouble.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

#include "libs/filter/filter.h"
#include "libs/filter/sample_columns.h"
#include "libs/filter/sample_schema.h"
#include "libs/filter/sql.h"

namespace {

using clm::filter::sample::Now;
using clm::filter::sample::Read;

// Where mutation begins, and what it puts together.
constexpr const char* kSeeds[] = {
    "",
    "name = 'ada' visits > 3 OR balance <= 19.90 AND NOT active",
    "email = \"*@example.com\" -(status = ACTIVE OR status != BLOCKED)",
    "tags:vip tags:* attributes:plan attributes.\"odd key'\" = \"\\u0041\\*\\\\\"",
    "created_at > now() - 30d birthday < today() + 7d created_at != 2026-11-21T08:30:00.5+01:00",
    "count(\"purchase\", 90d) >= 2 sum('purchase', 'amount') > 100 days_since(visit):*",
    "properties.amount > 10 properties.x properties.a-b < 2026-01-01",
    "((((active))))",
    "stats.score<1 name='a*b*c' name>=\"\\n\\t\"",
    "attributes.seats = -9223372036854775808 attributes.rate = 0.000000001",
};

[[noreturn]] void Complain(const char* what, absl::string_view text) {
  std::cerr << what << ": " << text << "\n";
  std::abort();
}

const clm::filter::sample::Row& AnyRow() {
  static const auto* const kRow = [] {
    static std::mt19937_64 engine(7);
    const auto pick = [](int n) { return static_cast<int>(engine() % static_cast<uint64_t>(n)); };
    return new clm::filter::sample::Row(clm::filter::sample::RandomRow(pick));
  }();
  return *kRow;
}

void Try(absl::string_view text) {
  const auto expression = Read(text);
  if (!expression.ok()) {
    if (expression.status().code() != absl::StatusCode::kInvalidArgument) {
      Complain("refused with another code", text);
    }
    return;
  }
  const std::string printed = ToString(*expression);
  // Canonical text may be longer than its source, and longer than texts may be.
  if (printed.size() <= 4096) {
    const auto again = Read(printed);
    if (!again.ok()) Complain("printed text does not read", text);
    if (!(*again == *expression)) Complain("printed text reads otherwise", text);
  }
  Evaluate(*expression, AnyRow(), Now());
  clm::pg::Args args;
  if (!ToSql(*expression, clm::filter::sample::SampleColumns(), Now(), args).ok()) {
    Complain("no SQL", text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  for (const char* seed : kSeeds) Try(seed);
  return 0;
}

// The first byte chooses a seed to which the input is appended or in which it is inserted, so that
// short inputs reach deep states without a corpus on disk; 255 takes the input alone.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr size_t kCount = sizeof(kSeeds) / sizeof(kSeeds[0]);
  if (data[0] == 255) {
    Try(input);
    return 0;
  }
  std::string text = kSeeds[data[0] % kCount];
  const size_t place = text.empty() ? 0 : (data[0] / kCount * 7) % (text.size() + 1);
  text.insert(place, input);
  Try(text);
  return 0;
}
