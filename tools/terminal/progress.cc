#include "tools/terminal/progress.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tools/terminal/number_text.h"

namespace clm::terminal {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kPlainLine = absl::Seconds(5);
constexpr int kBarWidth = 24;

}  // namespace

Progress::Progress(std::string title, int64_t total, Format format, const Screen& screen,
                   const Clock& clock, std::ostream& out)
    : title_(Printable(title)),
      total_(total),
      json_(format == Format::kJson || format == Format::kNdjson),
      screen_(screen),
      clock_(clock),
      out_(out),
      start_(clock.Now()),
      next_(screen.tty && !json_ ? start_ : start_ + kPlainLine) {}

Progress::~Progress() { Finish(); }

void Progress::Update(int64_t done, Counts counts) {
  if (finished_) return;
  done_ = done;
  counts_ = std::move(counts);
  const absl::Time now = clock_.Now();
  if (now < next_) return;
  next_ = now + (screen_.tty && !json_ ? kRedraw : kPlainLine);
  Draw();
}

void Progress::Finish() {
  if (finished_) return;
  Draw();
  if (screen_.tty && !json_) out_ << "\n";
  out_.flush();
  finished_ = true;
}

double Progress::PerSecond() const {
  const double seconds = absl::ToDoubleSeconds(clock_.Now() - start_);
  return seconds > 0 ? static_cast<double>(done_) / seconds : 0;
}

absl::Duration Progress::Left() const {
  const double rate = PerSecond();
  if (total_ <= 0 || rate <= 0) return absl::InfiniteDuration();
  return absl::Seconds(static_cast<double>(std::max<int64_t>(0, total_ - done_)) / rate);
}

std::string Progress::Plain() const {
  std::string text = absl::StrCat(title_, " ", CountText(done_));
  if (total_ > 0) {
    absl::StrAppend(&text, " of ", CountText(total_), " (",
                    PercentText(static_cast<double>(done_) / static_cast<double>(total_), 0), ")");
  }
  for (const auto& [name, count] : counts_)
    absl::StrAppend(&text, ", ", name, " ", CountText(count));
  absl::StrAppend(&text, ", ", NumberText(PerSecond(), 0), "/s");
  if (total_ > 0 && done_ < total_ && Left() < absl::InfiniteDuration()) {
    absl::StrAppend(&text, ", ", DurationText(Left()), " left");
  }
  return text;
}

std::string Progress::JsonLine() const {
  nlohmann::ordered_json body;
  body["title"] = title_;
  body["done"] = done_;
  if (total_ > 0) body["total"] = total_;
  for (const auto& [name, count] : counts_) body["counts"][name] = count;
  body["per_second"] = std::round(PerSecond() * 10) / 10;
  body["elapsed_seconds"] = std::round(absl::ToDoubleSeconds(clock_.Now() - start_) * 10) / 10;
  if (Left() < absl::InfiniteDuration()) {
    body["left_seconds"] = std::round(absl::ToDoubleSeconds(Left()) * 10) / 10;
  }
  return nlohmann::ordered_json{{"progress", body}}.dump();
}

void Progress::Draw() {
  if (json_) {
    out_ << JsonLine() << "\n";
  } else if (!screen_.tty) {
    out_ << Plain() << "\n";
  } else {
    std::string line = Plain();
    if (total_ > 0) {
      const double share =
          std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
      const int full = static_cast<int>(share * kBarWidth);
      std::string bar;
      for (int i = 0; i < kBarWidth; ++i) {
        bar += i < full ? (screen_.utf8 ? "\u2588" : "#") : (screen_.utf8 ? "\u2591" : ".");
      }
      line = absl::StrCat(bar, " ", line);
    }
    // One column is left free: terminals wrap when the last one is written.
    out_ << "\r" << Truncate(line, std::max(1, screen_.width - 1), screen_.utf8) << "\033[K";
  }
  out_.flush();
}

}  // namespace clm::terminal
