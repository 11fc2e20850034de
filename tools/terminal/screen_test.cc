#include "tools/terminal/screen.h"

#include <gtest/gtest.h>

#include <map>

namespace clm::terminal {
namespace {

Screen ScreenWith(bool tty, int width, std::map<std::string, std::string> environment) {
  return Screen::From(tty, width, [environment](const char* name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

TEST(ScreenTest, APipeHasNeitherColourNorWidth) {
  const Screen screen = ScreenWith(false, 120, {{"COLUMNS", "40"}, {"TERM", "xterm"}});
  EXPECT_FALSE(screen.tty);
  EXPECT_FALSE(screen.color);
  EXPECT_EQ(screen.width, 0);
}

TEST(ScreenTest, ColourEndsWithNoColorOrADumbTerminal) {
  EXPECT_TRUE(ScreenWith(true, 100, {{"TERM", "xterm"}}).color);
  EXPECT_TRUE(ScreenWith(true, 100, {{"NO_COLOR", ""}}).color);
  EXPECT_FALSE(ScreenWith(true, 100, {{"NO_COLOR", "1"}}).color);
  EXPECT_FALSE(ScreenWith(true, 100, {{"TERM", "dumb"}}).color);
}

TEST(ScreenTest, TheWidthIsTheTerminalsThenColumnsThen80) {
  EXPECT_EQ(ScreenWith(true, 100, {{"COLUMNS", "40"}}).width, 100);
  EXPECT_EQ(ScreenWith(true, 0, {{"COLUMNS", "40"}}).width, 40);
  EXPECT_EQ(ScreenWith(true, 0, {{"COLUMNS", "wide"}}).width, 80);
  EXPECT_EQ(ScreenWith(true, 0, {}).width, 80);
}

TEST(ScreenTest, TheFirstLocaleThatIsSetDecides) {
  EXPECT_TRUE(ScreenWith(true, 0, {}).utf8);
  EXPECT_TRUE(ScreenWith(true, 0, {{"LANG", "de_DE.UTF-8"}}).utf8);
  EXPECT_FALSE(ScreenWith(true, 0, {{"LANG", "C"}}).utf8);
  EXPECT_TRUE(ScreenWith(true, 0, {{"LC_ALL", ""}, {"LC_CTYPE", "C.utf8"}, {"LANG", "C"}}).utf8);
  EXPECT_FALSE(ScreenWith(true, 0, {{"LC_ALL", "POSIX"}, {"LANG", "de_DE.UTF-8"}}).utf8);
}

TEST(PaintTest, ColoursOnlyWhereThereIsColour) {
  EXPECT_EQ(Paint({.color = true}, Tone::kBad, "no"), "\033[31mno\033[0m");
  EXPECT_EQ(Paint({.color = true}, Tone::kPlain, "no"), "no");
  EXPECT_EQ(Paint({.color = true}, Tone::kBad, ""), "");
  EXPECT_EQ(Paint({}, Tone::kBad, "no"), "no");
}

TEST(PrintableTest, AValueCannotMoveTheCursorOrTurnTheText) {
  EXPECT_EQ(Printable("\033[2Jgone"), "\ufffd[2Jgone");
  EXPECT_EQ(Printable("a\nb\tc\r"), "a b c ");
  EXPECT_EQ(Printable("a\u202eb\u2066c"), "a\ufffdb\ufffdc");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\ufffd31m");  // CSI as one C1 character.
}

TEST(PrintableTest, WhatIsNotUtf8IsReplacedByteByByte) {
  EXPECT_EQ(Printable("a\xff"
                      "b"),
            "a\ufffdb");
  EXPECT_EQ(Printable("\xc3"), "\ufffd");                      // Cut.
  EXPECT_EQ(Printable("\xc0\xaf"), "\ufffd\ufffd");            // Overlong.
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // Surrogate.
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(Printable("Zoë 東京 🐘"), "Zoë 東京 🐘");
}

TEST(TextWidthTest, CountsColumnsNotBytes) {
  EXPECT_EQ(TextWidth("coffee"), 6);
  EXPECT_EQ(TextWidth("Zoë"), 3);
  EXPECT_EQ(TextWidth("Zoe\u0308"), 3);  // Decomposed.
  EXPECT_EQ(TextWidth("東京"), 4);
  EXPECT_EQ(TextWidth("한국"), 4);
  EXPECT_EQ(TextWidth("ｗ"), 2);
  EXPECT_EQ(TextWidth("☕"), 2);
  EXPECT_EQ(TextWidth("👍🏽"), 2);  // With a skin tone.
  EXPECT_EQ(TextWidth("👩\u200d💻"), 2);  // Joined to one glyph.
  EXPECT_EQ(TextWidth("🇩🇪"), 2);
  EXPECT_EQ(TextWidth("▏│⣿…"), 4);
}

TEST(TruncateTest, CutsAtAColumnAndSaysSo) {
  EXPECT_EQ(Truncate("coffee", 6), "coffee");
  EXPECT_EQ(Truncate("coffee", 5), "coff…");
  EXPECT_EQ(Truncate("coffee", 5, /*utf8=*/false), "coff~");
  EXPECT_EQ(Truncate("東京都", 5), "東京…");
  EXPECT_EQ(Truncate("東京都", 4), "東…");  // No half of a wide character.
  EXPECT_EQ(Truncate("coffee", 1), "…");
  EXPECT_EQ(Truncate("coffee", 0), "");
}

TEST(PadTest, FillsUpToTheWidth) {
  EXPECT_EQ(Pad("東京", 6), "東京  ");
  EXPECT_EQ(Pad("12", 5, Align::kRight), "   12");
  EXPECT_EQ(Pad("longer", 3), "longer");
}

}  // namespace
}  // namespace clm::terminal
