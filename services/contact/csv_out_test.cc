#include "services/contact/csv_out.h"

#include "gtest/gtest.h"

namespace clm::contact {
namespace {

std::string Cell(absl::string_view text) {
  CsvWriter out;
  out.Text(text);
  return out.Take();
}

TEST(CsvWriterTest, RowsAreSeparatedAndEnded) {
  CsvWriter out;
  out.Text("a").Empty().Number(7).EndRow();
  out.Empty().Text("b").EndRow();
  EXPECT_EQ(out.Take(), "a,,7\r\n,b\r\n");
  EXPECT_EQ(out.Take(), "");
  out.Text("c").EndRow();
  EXPECT_EQ(out.Take(), "c\r\n");
}

TEST(CsvWriterTest, QuotesOnlyWhatMustBe) {
  EXPECT_EQ(Cell("plain text"), "plain text");
  EXPECT_EQ(Cell("a,b"), "\"a,b\"");
  EXPECT_EQ(Cell("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(Cell("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(Cell(" padded "), "\" padded \"");
  EXPECT_EQ(Cell("a;b"), "a;b");
  CsvWriter semicolons(';');
  semicolons.Text("a;b").Text("a,b");
  EXPECT_EQ(semicolons.Take(), "\"a;b\";a,b");
}

TEST(CsvWriterTest, FormulasAreMadeHarmless) {
  EXPECT_EQ(Cell("=1+1"), "'=1+1");
  EXPECT_EQ(Cell("+49"), "'+49");
  EXPECT_EQ(Cell("-1"), "'-1");
  EXPECT_EQ(Cell("@SUM(A1)"), "'@SUM(A1)");
  EXPECT_EQ(Cell("\t=1"), "\"'\t=1\"");
  EXPECT_EQ(Cell("\r=1"), "\"'\r=1\"");
  EXPECT_EQ(Cell(absl::string_view("\0=1", 3)), std::string("\"'\0=1\"", 6));
  EXPECT_EQ(Cell("  =1"), "\"'  =1\"");
  EXPECT_EQ(Cell("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
  EXPECT_EQ(Cell("1=1"), "1=1");
}

TEST(CsvWriterTest, NumbersStayNumbers) {
  CsvWriter out;
  out.Number(-5).Number("-12.50").Number("7").Number("-").Number("1.2.3").Number("=1").Number("1.");
  EXPECT_EQ(out.Take(), "-5,-12.50,7,'-,1.2.3,'=1,1.");
}

}  // namespace
}  // namespace clm::contact
