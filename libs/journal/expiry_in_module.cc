#include "libs/journal/expiry_in_module.h"

#include "libs/obs/log.h"

namespace clm::journal {
namespace {

AnswerExpiry::Options OptionsOf(app::Runtime& runtime, const std::string& service, pg::Pool* pool) {
  AnswerExpiry::Options options;
  options.pool = pool;
  options.clock = &runtime.clock();
  options.keep = runtime.answer_retention();
  obs::Counter& expired = runtime.metrics().GetCounter(
      "clm_answers_expired_total", "Stored answers forgotten by age.", {{"service", service}});
  options.on_expired = [&expired](int64_t count) { expired.Add(static_cast<uint64_t>(count)); };
  options.on_trouble = [service](const absl::Status& status) {
    obs::Warn("the expiry of answers is held up", {{"service", service}, {"error", status}});
  };
  return options;
}

}  // namespace

ExpiryInModule::ExpiryInModule(app::Runtime& runtime, const std::string& service, pg::Pool* pool)
    : expiry_(OptionsOf(runtime, service, pool)) {
  overdue_ = runtime.metrics().WatchGauge(
      "clm_answers_overdue_seconds",
      "By how much the oldest stored answer has outlived its retention; 0 where another process "
      "expires.",
      {{"service", service}}, [this] { return absl::ToDoubleSeconds(expiry_.overdue()); });
}

}  // namespace clm::journal
