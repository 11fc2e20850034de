// Structured logs: a constant text, and typed fields. One line per record, as JSON in production
// or as text for people. Personal data has no way in: a protobuf message cannot be a field, a
// Personal<T> cannot, and a status gives its code and reason but not its message.
//
//   obs::Warn("lease lost", {{"shard", shard}, {"owner", owner}, {"error", status}});
//
// All functions are thread-safe.
#ifndef CLM_LIBS_OBS_LOG_H_
#define CLM_LIBS_OBS_LOG_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace google::protobuf {
class MessageLite;
}

namespace clm::obs {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

// A value that describes a person. It passes through the program like a T but cannot be logged.
template <class T>
class Personal {
 public:
  explicit Personal(T value) : value_(std::move(value)) {}
  const T& Reveal() const { return value_; }

 private:
  T value_;
};

// One key and value of a record. Keys are literals. Texts must be names, ids or words of ours,
// never what a caller typed about a person.
class Field {
 public:
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Field(const char* key, T value)
      : key_(key), value_(static_cast<int64_t>(value)) {}
  Field(const char* key, bool value) : key_(key), value_(value) {}
  Field(const char* key, double value) : key_(key), value_(value) {}
  Field(const char* key, const char* value) : key_(key), value_(std::string(value)) {}
  Field(const char* key, std::string value) : key_(key), value_(std::move(value)) {}
  Field(const char* key, absl::string_view value) : key_(key), value_(std::string(value)) {}
  // Milliseconds with three decimals.
  Field(const char* key, absl::Duration value)
      : key_(key), value_(absl::ToDoubleMicroseconds(value) / 1e3) {}
  // RFC 3339.
  Field(const char* key, absl::Time value);
  // "CODE" or "CODE/REASON"; the message stays out, because it may quote a caller.
  Field(const char* key, const absl::Status& value);
  template <class T>
  Field(const char* key, const Personal<T>& value) = delete;
  template <class T>
  requires std::is_base_of_v<google::protobuf::MessageLite, T> Field(const char* key,
                                                                     const T& value)
  = delete;

  const char* key() const { return key_; }
  const std::variant<int64_t, bool, double, std::string>& value() const { return value_; }

 private:
  const char* key_;
  std::variant<int64_t, bool, double, std::string> value_;
};

using Fields = std::initializer_list<Field>;

// `text` is a constant: what varies belongs into fields.
void Log(Level level, const char* text, Fields fields = {});
inline void Debug(const char* text, Fields fields = {}) { Log(Level::kDebug, text, fields); }
inline void Info(const char* text, Fields fields = {}) { Log(Level::kInfo, text, fields); }
inline void Warn(const char* text, Fields fields = {}) { Log(Level::kWarn, text, fields); }
inline void Error(const char* text, Fields fields = {}) { Log(Level::kError, text, fields); }

struct LogOptions {
  bool json = true;
  Level level = Level::kInfo;
  // Added to every record as "service"; empty: left out.
  std::string service;
  // Receives each finished line, without its line feed; empty: standard error.
  std::function<void(std::string_view line)> sink;
};

// Replaces the options of the whole process. Until the first call: text on standard error from
// Level::kInfo.
void ConfigureLog(LogOptions options);

// True when a record of this level would be written.
bool LogEnabled(Level level);

}  // namespace clm::obs

#endif  // CLM_LIBS_OBS_LOG_H_
