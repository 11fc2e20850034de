// What a stream can show, and text fitted to it: width in columns, truncation, colour. Text that
// comes from data is passed through Printable before it reaches a terminal: a name must not be able
// to move the cursor. Thread-safe: values and functions without state.
#ifndef CLM_TOOLS_TERMINAL_SCREEN_H_
#define CLM_TOOLS_TERMINAL_SCREEN_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace clm::terminal {

struct Screen {
  bool tty = false;  // A person watches: fit to the width, redraw progress.
  bool color = false;
  bool utf8 = true;  // Else charts are drawn with ASCII characters.
  int width = 0;     // Columns; 0 when nothing limits the width.

  // The screen behind file descriptor `fd`. Colour only on a terminal, without NO_COLOR (any value
  // but empty) and with TERM other than "dumb"; width by the terminal, else COLUMNS, else 80; utf8
  // by LC_ALL, LC_CTYPE, LANG, the first that is set; assumed when none is.
  static Screen Of(int fd);
  // The same, with isatty, terminal width (0: unknown) and environment (nullptr: not set) given.
  static Screen From(bool tty, int terminal_width,
                     const std::function<const char*(const char*)>& environment);
};

// How a piece of text is meant.
enum class Tone { kPlain, kStrong, kMuted, kGood, kWarn, kBad, kAccent };

// `text` in the tone's colour; unchanged on a screen without colour.
std::string Paint(const Screen& screen, Tone tone, absl::string_view text);

// Valid UTF-8 without control, line-breaking or direction-changing characters: these become spaces
// or, when they are no text at all, U+FFFD.
std::string Printable(absl::string_view text);

// Columns that printable text takes: 2 for East Asian wide characters and emoji, 0 for combining
// marks.
int TextWidth(absl::string_view text);

// At most `width` columns; an ellipsis stands for what was cut.
std::string Truncate(absl::string_view text, int width, bool utf8 = true);

enum class Align { kLeft, kRight };

// Filled up with spaces to `width` columns; longer text stays as it is.
std::string Pad(absl::string_view text, int width, Align align = Align::kLeft);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_SCREEN_H_
