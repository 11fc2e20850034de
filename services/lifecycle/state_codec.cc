#include "services/lifecycle/state_codec.h"

#include <cstdint>
#include <limits>

#include "libs/base/error.h"

namespace clm::lifecycle {
namespace {

constexpr char kFormat = 1;

class Writer {
 public:
  void Number(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Signed(int64_t value) {
    Number((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void Text(absl::string_view text) {
    Number(text.size());
    out_.append(text.data(), text.size());
  }
  void Time(absl::Time time) { Signed(absl::ToUnixMicros(time)); }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_ = std::string(1, kFormat);
};

class Reader {
 public:
  explicit Reader(absl::string_view bytes) : rest_(bytes) {
    ok_ = !rest_.empty() && rest_[0] == kFormat;
    if (ok_) rest_.remove_prefix(1);
  }
  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  int64_t Signed() {
    const uint64_t value = Number();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string Text() {
    const uint64_t size = Number();
    if (size > rest_.size()) {
      ok_ = false;
      return "";
    }
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  absl::Time Time() {
    const int64_t micros = Signed();
    if (micros == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
    if (micros == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
    return absl::FromUnixMicros(micros);
  }
  // A count of things that take at least one byte each.
  uint64_t Count() {
    const uint64_t count = Number();
    if (count > rest_.size()) ok_ = false;
    return ok_ ? count : 0;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  absl::string_view rest_;
  bool ok_;
};

}  // namespace

std::string EncodeState(const ModelState& state) {
  Writer w;
  w.Number(static_cast<uint64_t>(state.revision));
  w.Text(state.stage);
  w.Time(state.entered_at);
  w.Number(static_cast<uint64_t>(state.episode));
  w.Number(static_cast<uint64_t>(state.visits));
  w.Text(state.progress_stage);
  w.Number(state.visited.size());
  for (const std::string& id : state.visited) w.Text(id);
  w.Number((state.cleared ? 1 : 0) | (state.overdue ? 2 : 0));
  w.Time(state.began_at);
  w.Number(static_cast<uint64_t>(state.sequence));
  w.Number(state.last_events.size());
  for (const auto& [type, at] : state.last_events) {
    w.Text(type);
    w.Time(at);
  }
  w.Number(state.marks.size());
  for (const ModelState::Mark& mark : state.marks) {
    w.Text(mark.rule_id);
    w.Number(mark.fired ? 1 : 0);
  }
  w.Time(state.applied.at);
  w.Number(static_cast<uint64_t>(state.applied.phase));
  w.Text(state.applied.id);
  return w.Take();
}

absl::StatusOr<ModelState> DecodeState(absl::string_view bytes) {
  Reader r(bytes);
  ModelState state;
  state.revision = static_cast<int32_t>(r.Number());
  state.stage = r.Text();
  state.entered_at = r.Time();
  state.episode = static_cast<int32_t>(r.Number());
  state.visits = static_cast<int64_t>(r.Number());
  state.progress_stage = r.Text();
  for (uint64_t n = r.Count(); n > 0; --n) state.visited.push_back(r.Text());
  const uint64_t flags = r.Number();
  state.cleared = (flags & 1) != 0;
  state.overdue = (flags & 2) != 0;
  state.began_at = r.Time();
  state.sequence = static_cast<int64_t>(r.Number());
  for (uint64_t n = r.Count(); n > 0; --n) {
    std::string type = r.Text();
    state.last_events.emplace_back(std::move(type), r.Time());
  }
  for (uint64_t n = r.Count(); n > 0; --n) {
    std::string rule_id = r.Text();
    state.marks.push_back({std::move(rule_id), r.Number() != 0});
  }
  state.applied.at = r.Time();
  const uint64_t phase = r.Number();
  state.applied.phase = static_cast<Horizon::Phase>(phase);
  state.applied.id = r.Text();
  if (!r.done() || phase > static_cast<uint64_t>(Horizon::Phase::kTimer)) {
    return error::Make(absl::StatusCode::kDataLoss, "STATE_UNREADABLE",
                       "a stored stage is not in a form this program can read");
  }
  return state;
}

}  // namespace clm::lifecycle
