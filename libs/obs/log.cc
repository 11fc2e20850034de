#include "libs/obs/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::obs {
namespace {

class FunctionSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    write_(std::string_view(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

 private:
  std::function<void(std::string_view)> write_;
};

struct Logger {
  LogOptions options;
  std::shared_ptr<spdlog::logger> out;
};

std::shared_ptr<const Logger> MakeLogger(LogOptions options) {
  auto logger = std::make_shared<Logger>();
  spdlog::sink_ptr sink;
  if (options.sink) {
    sink = std::make_shared<FunctionSink>(options.sink);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  logger->out = std::make_shared<spdlog::logger>("clm", sink);
  logger->out->set_level(spdlog::level::trace);
  logger->out->set_pattern("%v");
  logger->out->flush_on(spdlog::level::trace);
  logger->options = std::move(options);
  return logger;
}

struct State {
  absl::Mutex mu;
  std::shared_ptr<const Logger> logger ABSL_GUARDED_BY(mu) = MakeLogger({.json = false});
  std::atomic<Level> level{Level::kInfo};
};

State& Global() {
  static State* const state = new State;
  return *state;
}

const char* Name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
    case Level::kOff:
      break;
  }
  return "error";
}

spdlog::level::level_enum SpdLevel(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

// A JSON string. Control characters are escaped, so that one record is one line.
void AppendQuoted(std::string& out, absl::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void AppendValue(std::string& out, const Field& field) {
  if (const auto* integer = std::get_if<int64_t>(&field.value())) {
    absl::StrAppend(&out, *integer);
  } else if (const auto* flag = std::get_if<bool>(&field.value())) {
    absl::StrAppend(&out, *flag ? "true" : "false");
  } else if (const auto* number = std::get_if<double>(&field.value())) {
    absl::StrAppend(&out, std::isfinite(*number) ? absl::StrFormat("%.3f", *number) : "null");
  } else {
    AppendQuoted(out, std::get<std::string>(field.value()));
  }
}

}  // namespace

Field::Field(const char* key, absl::Time value) : key_(key), value_(clm::FormatTime(value)) {}

Field::Field(const char* key, const absl::Status& value) : key_(key) {
  std::string text = absl::StatusCodeToString(value.code());
  if (const std::string reason = error::Reason(value); !reason.empty()) {
    absl::StrAppend(&text, "/", reason);
  }
  value_ = std::move(text);
}

void ConfigureLog(LogOptions options) {
  State& state = Global();
  const Level level = options.level;
  auto logger = MakeLogger(std::move(options));
  absl::MutexLock lock(&state.mu);
  state.logger = std::move(logger);
  state.level = level;
}

bool LogEnabled(Level level) {
  return level >= Global().level.load(std::memory_order_relaxed) && level != Level::kOff;
}

void Log(Level level, const char* text, Fields fields) {
  if (!LogEnabled(level)) return;
  State& state = Global();
  std::shared_ptr<const Logger> logger;
  {
    absl::MutexLock lock(&state.mu);
    logger = state.logger;
  }
  const std::string time = clm::FormatTime(SystemClock().Now());
  std::string line;
  if (logger->options.json) {
    absl::StrAppend(&line, R"({"time":")", time, R"(","level":")", Name(level), R"(")");
    if (!logger->options.service.empty()) {
      line += R"(,"service":)";
      AppendQuoted(line, logger->options.service);
    }
    line += R"(,"text":)";
    AppendQuoted(line, text);
    for (const Field& field : fields) {
      line.push_back(',');
      AppendQuoted(line, field.key());
      line.push_back(':');
      AppendValue(line, field);
    }
    line.push_back('}');
  } else {
    absl::StrAppend(&line, time, " ", Name(level), " ", text);
    for (const Field& field : fields) {
      absl::StrAppend(&line, " ", field.key(), "=");
      AppendValue(line, field);
    }
  }
  logger->out->log(SpdLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace clm::obs
