// What evaluating a rule costs, on a record that already holds typed values.
#include <benchmark/benchmark.h>

#include "libs/base/time_text.h"
#include "libs/filter/filter.h"

namespace clm::filter {
namespace {

enum Id { kType, kAmount, kStatus, kCreatedAt, kTags, kProperties };

const Schema& EventSchema() {
  static const auto* const kSchema = [] {
    auto* schema = new Schema();
    schema->Add(kType, "type", Type::kString)
        .Add(kAmount, "amount", Type::kInt64)
        .AddEnum(kStatus, "status", {"ACTIVE", "BLOCKED"})
        .Add(kCreatedAt, "created_at", Type::kTimestamp)
        .Add(kTags, "tags", Type::kStringSet)
        .AddMap(kProperties, "properties", Type::kAny);
    return schema;
  }();
  return *kSchema;
}

struct Event : Record {
  Value Get(const Field& field) const override {
    switch (field.id) {
      case kType:
        return absl::string_view(type);
      case kAmount:
        return amount;
      case kStatus:
        return absl::string_view(status);
      case kCreatedAt:
        return created_at;
      case kTags:
        return StringSet(tags);
      case kProperties:
        return ParseValue(field.type, total);
    }
    return {};
  }
  std::string type = "purchase";
  int64_t amount = 2500;
  std::string status = "ACTIVE";
  absl::Time created_at = *ParseTime("2026-11-01T00:00:00Z");
  std::vector<std::string> tags = {"beta", "vip"};
  std::string total = "25.00";
};

void Run(benchmark::State& state, absl::string_view text) {
  const Expression expression = *Parse(text, EventSchema());
  const Event event;
  const absl::Time now = *ParseTime("2026-11-21T00:00:00Z");
  for (auto _ : state) {
    bool match = Evaluate(expression, event, now);
    benchmark::DoNotOptimize(match);
  }
}

void EvaluateThreeTerms(benchmark::State& state) {
  Run(state, "type = purchase amount >= 1000 status = ACTIVE");
}
BENCHMARK(EvaluateThreeTerms);

void EvaluateTimeSetAndPattern(benchmark::State& state) {
  Run(state, "created_at > now() - 30d tags:vip type = 'pur*'");
}
BENCHMARK(EvaluateTimeSetAndPattern);

void EvaluateDecimalFromText(benchmark::State& state) { Run(state, "properties.total > 19.90"); }
BENCHMARK(EvaluateDecimalFromText);

void ParseThreeTerms(benchmark::State& state) {
  for (auto _ : state) {
    auto expression = Parse("type = purchase amount >= 1000 status = ACTIVE", EventSchema());
    benchmark::DoNotOptimize(expression);
  }
}
BENCHMARK(ParseThreeTerms);

}  // namespace
}  // namespace clm::filter

BENCHMARK_MAIN();
