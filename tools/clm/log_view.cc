#include "tools/clm/log_view.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace clm::cli {
namespace {

using terminal::Tone;

// "2026-11-22T02:09:46.207282Z": where the time of the day begins, and its end at milliseconds.
constexpr size_t kTimeOfDay = 11;
constexpr size_t kMilliseconds = 23;

// The record's time, by which files are merged; empty for lines that have none.
std::string TimeOf(absl::string_view line) {
  constexpr absl::string_view kHead = R"({"time":")";
  if (line.substr(0, kHead.size()) != kHead) return "";
  line.remove_prefix(kHead.size());
  return std::string(line.substr(0, line.find('"')));
}

std::string ValueText(const nlohmann::ordered_json& value) {
  return value.is_string()
             ? value.get<std::string>()
             : value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Lines without a time belong to the line before them.
void Merge(std::vector<std::vector<std::string>> lists, std::vector<std::string>& out) {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::vector<std::string>& list : lists) {
    std::string time;
    for (std::string& line : list) {
      if (std::string own = TimeOf(line); !own.empty()) time = std::move(own);
      all.emplace_back(time, std::move(line));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [time, line] : all) out.push_back(std::move(line));
}

}  // namespace

LogView::LogView(const std::vector<std::string>& files) {
  for (const std::string& path : files) files_.push_back({.path = path});
}

std::vector<std::string> LogView::New() {
  constexpr size_t kChunk = 64 * 1024;
  std::vector<std::vector<std::string>> lists;
  for (File& file : files_) {
    std::vector<std::string>& lines = lists.emplace_back();
    std::ifstream in(file.path, std::ios::binary | std::ios::ate);
    if (!in) continue;
    // Emptied since: it begins anew.
    if (static_cast<int64_t>(in.tellg()) < file.offset) file.offset = 0;
    in.seekg(file.offset);
    std::string chunk(kChunk, '\0');
    while (in.read(chunk.data(), kChunk) || in.gcount() > 0) {
      file.offset += in.gcount();
      file.rest.append(chunk, 0, static_cast<size_t>(in.gcount()));
      size_t begin = 0;
      for (size_t end; (end = file.rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
        lines.push_back(file.rest.substr(begin, end - begin));
      }
      file.rest.erase(0, begin);
    }
  }
  std::vector<std::string> merged;
  Merge(std::move(lists), merged);
  return merged;
}

std::vector<std::string> LogView::Last(size_t count) {
  std::vector<std::string> lines = New();
  if (count > 0 && lines.size() > count) {
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  }
  return lines;
}

std::string LogLine(const terminal::Screen& screen, absl::string_view record) {
  const auto json = nlohmann::ordered_json::parse(record.begin(), record.end(), nullptr, false);
  if (!json.is_object() || !json.contains("time") || !json.contains("text")) {
    return terminal::Printable(record);
  }
  std::string time, level, service, text, fields;
  for (const auto& [key, value] : json.items()) {
    const std::string said = ValueText(value);
    if (key == "time") {
      time =
          said.size() > kMilliseconds ? said.substr(kTimeOfDay, kMilliseconds - kTimeOfDay) : said;
    } else if (key == "level") {
      level = said;
    } else if (key == "service") {
      service = said;
    } else if (key == "text") {
      text = said;
    } else {
      absl::StrAppend(&fields, " ", terminal::Printable(key), "=", terminal::Printable(said));
    }
  }
  const Tone tone = level == "error" ? Tone::kBad : level == "warn" ? Tone::kWarn : Tone::kMuted;
  return absl::StrCat(terminal::Paint(screen, Tone::kMuted, terminal::Printable(time)), " ",
                      terminal::Paint(screen, tone, terminal::Pad(terminal::Printable(level), 5)),
                      " ", terminal::Printable(service), " ",
                      terminal::Paint(screen, Tone::kStrong, terminal::Printable(text)),
                      terminal::Paint(screen, Tone::kMuted, fields));
}

}  // namespace clm::cli
