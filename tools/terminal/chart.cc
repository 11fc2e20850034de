#include "tools/terminal/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/terminal/number_text.h"

namespace clm::terminal {
namespace {

constexpr int kLongestLabel = 28;
constexpr int kShortestBar = 8;
constexpr int kLongestBar = 60;

int WidthOf(const Screen& screen) { return screen.width > 0 ? screen.width : 80; }

// A bar of at most `width` columns for a share of 0 to 1. Anything above nothing shows.
std::string BarOf(const Screen& screen, double share, int width) {
  if (!(share > 0)) return "";
  share = std::min(share, 1.0);
  if (!screen.utf8)
    return std::string(std::max(1, static_cast<int>(std::lround(share * width))), '#');
  static constexpr std::array kEighths = {"",       "\u258f", "\u258e", "\u258d",
                                          "\u258c", "\u258b", "\u258a", "\u2589"};
  const int eighths = std::max(1, static_cast<int>(std::lround(share * width * 8)));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "\u2588";
  return bar + kEighths[eighths % 8];
}

// Columns for the labels: at most a third of the screen.
int LongestLabel(const Screen& screen, const std::vector<std::string>& labels) {
  int width = 0;
  for (const std::string& label : labels) width = std::max(width, TextWidth(label));
  return std::min({width, kLongestLabel, std::max(8, WidthOf(screen) / 3)});
}

std::string Label(const Screen& screen, const std::string& label, int width) {
  return Pad(Truncate(label, width, screen.utf8), width);
}

// 256-colour blues from pale to deep for shares from 0 to 1, black or white text on them.
std::string Shade(const Screen& screen, double share, const std::string& text) {
  if (!screen.color) return text;
  static constexpr std::array kBlues = {195, 153, 117, 75, 33, 27, 20};
  const double x = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0;
  // The square root spreads the small shares that retention tables are full of.
  const auto step =
      static_cast<size_t>(std::min(std::sqrt(x) * kBlues.size(), kBlues.size() - 1.0));
  return absl::StrCat("\033[48;5;", kBlues[step], ";38;5;", step < 4 ? 16 : 231, "m", text,
                      "\033[0m");
}

struct Extent {
  double least = 0, greatest = 0;
  bool any = false;
};

Extent ExtentOf(const std::vector<std::optional<double>>& values) {
  Extent extent;
  for (const auto& value : values) {
    if (!value || !std::isfinite(*value)) continue;
    extent.least = extent.any ? std::min(extent.least, *value) : *value;
    extent.greatest = extent.any ? std::max(extent.greatest, *value) : *value;
    extent.any = true;
  }
  return extent;
}

std::string AxisText(double value) {
  return std::abs(value) < 10 && value != std::floor(value) ? NumberText(value, 2)
                                                            : NumberText(value, 0);
}

}  // namespace

std::string BarChart(const Screen& screen, const std::vector<Bar>& bars) {
  std::vector<std::string> labels;
  std::vector<std::string> texts;
  double greatest = 0;
  int text_width = 0;
  for (const Bar& bar : bars) {
    labels.push_back(Printable(bar.label));
    texts.push_back(bar.text.empty() ? NumberText(bar.value, 0) : Printable(bar.text));
    text_width = std::max(text_width, TextWidth(texts.back()));
    if (std::isfinite(bar.value)) greatest = std::max(greatest, bar.value);
  }
  const int label_width = LongestLabel(screen, labels);
  const int width =
      std::clamp(WidthOf(screen) - label_width - text_width - 4, kShortestBar, kLongestBar);
  std::string out;
  for (size_t i = 0; i < bars.size(); ++i) {
    const std::string bar = BarOf(screen, greatest > 0 ? bars[i].value / greatest : 0, width);
    absl::StrAppend(&out, Label(screen, labels[i], label_width), "  ",
                    Pad(texts[i], text_width, Align::kRight), bar.empty() ? "" : "  ",
                    Paint(screen, bars[i].tone, bar), "\n");
  }
  return out;
}

std::string Funnel(const Screen& screen, const std::vector<FunnelStep>& steps) {
  if (steps.empty()) return "";
  std::vector<std::string> labels;
  int count_width = 0;
  int64_t greatest = 0;
  for (const FunnelStep& step : steps) {
    labels.push_back(Printable(step.label));
    count_width = std::max(count_width, TextWidth(CountText(step.count)));
    greatest = std::max(greatest, step.count);
  }
  const int label_width = LongestLabel(screen, labels);
  const int width = std::clamp(WidthOf(screen) - label_width - count_width - 12, kShortestBar, 40);
  const int note_width = WidthOf(screen) - label_width - count_width - 4;
  const double top = static_cast<double>(steps[0].count);
  std::string out;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto count = static_cast<double>(steps[i].count);
    if (i > 0) {
      const auto before = static_cast<double>(steps[i - 1].count);
      const int64_t lost = steps[i - 1].count - steps[i].count;
      std::string note =
          absl::StrCat(screen.utf8 ? "\u2193 " : "v ",
                       before > 0 ? absl::StrCat(PercentText(count / before), " went on") : "-");
      if (lost > 0) absl::StrAppend(&note, ", ", CountText(lost), " did not");
      if (steps[i].median_time) {
        absl::StrAppend(&note, ", median ", DurationText(*steps[i].median_time));
      }
      absl::StrAppend(&out, std::string(label_width + count_width + 4, ' '),
                      Paint(screen, Tone::kMuted, Truncate(note, note_width, screen.utf8)), "\n");
    }
    const std::string bar =
        BarOf(screen, greatest > 0 ? count / static_cast<double>(greatest) : 0, width);
    absl::StrAppend(&out, Label(screen, labels[i], label_width), "  ",
                    Pad(CountText(steps[i].count), count_width, Align::kRight), "  ",
                    Paint(screen, Tone::kAccent, bar), std::string(width - TextWidth(bar), ' '),
                    "  ", Pad(top > 0 ? PercentText(count / top) : "-", 6, Align::kRight), "\n");
  }
  return out;
}

std::string HeatTable(const Screen& screen, const std::string& cohort_title,
                      const std::string& age_title, const std::vector<CohortRow>& rows) {
  // "100.0%" and a space.
  constexpr int kCell = 7;
  std::vector<std::string> labels = {Printable(cohort_title)};
  int size_width = TextWidth("SIZE");
  size_t ages = 0;
  for (const CohortRow& row : rows) {
    labels.push_back(Printable(row.label));
    size_width = std::max(size_width, TextWidth(CountText(row.size)));
    ages = std::max(ages, row.shares.size());
  }
  const int label_width = LongestLabel(screen, labels);
  size_t shown = ages;
  if (screen.width > 0) {
    const int room = (screen.width - label_width - size_width - 2) / kCell;
    shown = std::min(ages, static_cast<size_t>(std::max(1, room)));
  }
  std::string out =
      absl::StrCat(Paint(screen, Tone::kStrong, Label(screen, labels[0], label_width)), "  ",
                   Paint(screen, Tone::kStrong, Pad("SIZE", size_width, Align::kRight)));
  for (size_t age = 0; age < shown; ++age) {
    absl::StrAppend(&out,
                    Paint(screen, Tone::kStrong,
                          Pad(absl::StrCat(Printable(age_title), age), kCell, Align::kRight)));
  }
  out += "\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string line = absl::StrCat(Label(screen, labels[i + 1], label_width), "  ",
                                    Pad(CountText(rows[i].size), size_width, Align::kRight));
    std::string blanks;
    for (size_t age = 0; age < std::min(shown, rows[i].shares.size()); ++age) {
      const auto& share = rows[i].shares[age];
      if (!share) {
        blanks += std::string(kCell, ' ');
        continue;
      }
      absl::StrAppend(&line, blanks, " ",
                      Shade(screen, *share, Pad(PercentText(*share), kCell - 1, Align::kRight)));
      blanks.clear();
    }
    absl::StrAppend(&out, line, "\n");
  }
  if (shown < ages) {
    absl::StrAppend(&out,
                    Paint(screen, Tone::kMuted,
                          Truncate(absl::StrCat("(", ages - shown, " more ages: -o csv)"),
                                   screen.width, screen.utf8)),
                    "\n");
  }
  return out;
}

std::string Sparkline(const Screen& screen, const std::vector<std::optional<double>>& values) {
  static constexpr std::array kBlocks = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
  static constexpr absl::string_view kAscii = "_.,-=+*#";
  const Extent extent = ExtentOf(values);
  const double range = extent.greatest - extent.least;
  std::string out;
  for (const auto& value : values) {
    if (!value || !std::isfinite(*value)) {
      out += ' ';
      continue;
    }
    const auto level = range > 0
                           ? static_cast<size_t>(std::min((*value - extent.least) / range * 8, 7.0))
                           : size_t{0};
    if (screen.utf8) {
      out += kBlocks[level];
    } else {
      out += kAscii[level];
    }
  }
  return out;
}

std::string LineChart(const Screen& screen, const Line& line, int height) {
  const Extent extent = ExtentOf(line.values);
  if (!extent.any) return "no values\n";
  const double bottom = std::min(0.0, extent.least);
  const double top = extent.greatest > bottom ? extent.greatest : bottom + 1;
  const std::string top_text = AxisText(top);
  const std::string bottom_text = AxisText(bottom);
  const int axis = std::max(TextWidth(top_text), TextWidth(bottom_text));
  // Braille cells hold 2 by 4 dots.
  const int across = screen.utf8 ? 2 : 1;
  const int down = screen.utf8 ? 4 : 1;
  const auto count = static_cast<int>(line.values.size());
  const int room = std::max(10, WidthOf(screen) - axis - 2);
  const int width = std::min(room, std::max(10, count));
  const int dots_x = width * across;
  const int dots_y = height * down;
  std::vector<std::vector<bool>> dots(dots_y, std::vector<bool>(dots_x));
  std::optional<std::pair<int, int>> before;
  for (int i = 0; i < count; ++i) {
    const auto& value = line.values[i];
    if (!value || !std::isfinite(*value)) {
      before.reset();
      continue;
    }
    const int x =
        count > 1
            ? static_cast<int>(std::lround(static_cast<double>(i) * (dots_x - 1) / (count - 1)))
            : 0;
    const int y = static_cast<int>(std::lround((*value - bottom) / (top - bottom) * (dots_y - 1)));
    const int steps =
        before ? std::max({1, std::abs(x - before->first), std::abs(y - before->second)}) : 1;
    for (int step = before ? 0 : steps; step <= steps; ++step) {
      const double part = static_cast<double>(step) / steps;
      const int from_x = before ? before->first : x;
      const int from_y = before ? before->second : y;
      dots[from_y + std::lround(part * (y - from_y))][from_x + std::lround(part * (x - from_x))] =
          true;
    }
    before = {x, y};
  }
  // Bits of a braille pattern by row from the top and column.
  static constexpr uint8_t kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  std::string out;
  for (int row = 0; row < height; ++row) {
    const std::string mark = row == 0 ? top_text : row == height - 1 ? bottom_text : "";
    std::string cells;
    for (int column = 0; column < width; ++column) {
      uint8_t bits = 0;
      for (int y = 0; y < down; ++y) {
        for (int x = 0; x < across; ++x) {
          if (dots[dots_y - 1 - (row * down + y)][column * across + x]) bits |= kBits[y][x];
        }
      }
      if (bits == 0) {
        cells += ' ';
      } else if (screen.utf8) {
        // U+2800 and the bits.
        cells += {'\xe2', static_cast<char>(0xa0 | (bits >> 6)),
                  static_cast<char>(0x80 | (bits & 0x3f))};
      } else {
        cells += '*';
      }
    }
    cells.erase(cells.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, Pad(mark, axis, Align::kRight), screen.utf8 ? " \u2502" : " |",
                    Paint(screen, Tone::kAccent, cells), "\n");
  }
  const std::string first = Printable(line.first_label);
  const std::string last = Printable(line.last_label);
  if (!first.empty() || !last.empty()) {
    const int gap = std::max(1, width - TextWidth(first) - TextWidth(last));
    absl::StrAppend(&out, std::string(axis + 2, ' '), first, std::string(gap, ' '), last, "\n");
  }
  return out;
}

}  // namespace clm::terminal
