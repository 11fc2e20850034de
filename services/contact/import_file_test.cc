#include "services/contact/import_file.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// What came out of a file: "1@2 email=a@x.com name=Ada" per record, "1@2 refused" for a bad one.
struct Outcome {
  absl::Status status;
  std::vector<std::string> records;
  std::vector<std::string> reasons;
};

Outcome Read(absl::string_view file, const ReaderOptions& options = {.format = FileFormat::kCsv},
             size_t chunk = absl::string_view::npos) {
  Outcome outcome;
  const auto sink = [&](const ImportRecord& record) {
    std::string text = absl::StrCat(record.number, "@", record.line);
    if (!record.status.ok()) {
      absl::StrAppend(&text, " refused");
      outcome.reasons.push_back(error::FieldViolations(record.status)[0].second);
      EXPECT_THAT(record.cells, IsEmpty());
    }
    for (const ImportCell& cell : record.cells) {
      absl::StrAppend(&text, " ", cell.column, "=", cell.text);
    }
    outcome.records.push_back(std::move(text));
  };
  const auto reader = MakeImportReader(options);
  for (size_t at = 0; at < file.size() && outcome.status.ok(); at += std::min(chunk, file.size())) {
    outcome.status = reader->Feed(file.substr(at, chunk), sink);
  }
  if (outcome.status.ok()) outcome.status = reader->Finish(sink);
  return outcome;
}

TEST(CsvTest, RecordsAreNumberedFromTheFirstAfterTheHeader) {
  const Outcome outcome = Read("email,name\na@x.com,Ada\nb@x.com,Bob\n");
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_THAT(outcome.records,
              ElementsAre("1@2 email=a@x.com name=Ada", "2@3 email=b@x.com name=Bob"));
}

TEST(CsvTest, AQuotedLineBreakIsPartOfItsFieldAndCountsAsALine) {
  const Outcome outcome = Read("id,note\n1,\"two\nlines\"\n2,x\n3,\"three\n\nlines\"\n4,y");
  EXPECT_THAT(outcome.records, ElementsAre("1@2 id=1 note=two\nlines", "2@4 id=2 note=x",
                                           "3@5 id=3 note=three\n\nlines", "4@8 id=4 note=y"));
}

TEST(CsvTest, EveryLineEndIsUnderstood) {
  const std::vector<std::string> expected = {"1@2 a=1 b=2", "2@3 a=3 b=4"};
  EXPECT_EQ(Read("a,b\r\n1,2\r\n3,4\r\n").records, expected);
  EXPECT_EQ(Read("a,b\r1,2\r3,4").records, expected);
  EXPECT_EQ(Read("a,b\n1,2\n3,4").records, expected);
  EXPECT_THAT(Read("a,b\r\n\"x\r\ny\",2\r\n3,4\r\n").records,
              ElementsAre("1@2 a=x\r\ny b=2", "2@4 a=3 b=4"));
}

TEST(CsvTest, BlankLinesDoNotCount) {
  EXPECT_THAT(Read("\n\na\n\n1\n   \n2\n\n").records, ElementsAre("1@5 a=1", "2@7 a=2"));
}

TEST(CsvTest, TheResultDoesNotDependOnTheChunks) {
  const absl::string_view file =
      "\xEF\xBB\xBF"
      "id;name;note\r\n1;\"Ad\xC3\xA9;a\";\"say \"\"hi\"\"\"\r\n2;\"broken;x\r\n3;c;d\r\n"
      "4;b\"ad;d\r\n\r\n5;\"e\r\ne\";f";
  const Outcome whole = Read(file);
  EXPECT_THAT(whole.records,
              ElementsAre("1@2 id=1 name=Ad\xC3\xA9;a note=say \"hi\"", "2@3 refused",
                          "3@4 id=3 name=c note=d", "4@5 refused", "5@7 id=5 name=e\r\ne note=f"));
  for (size_t chunk = 1; chunk < 20; ++chunk) {
    EXPECT_EQ(Read(file, {.format = FileFormat::kCsv}, chunk).records, whole.records) << chunk;
  }
}

TEST(CsvTest, DelimitersAreFoundOut) {
  for (const char* delimiter : {",", ";", "\t", "|"}) {
    const std::string file = absl::StrCat("a", delimiter, "\"b,,,;;;|||\"\n1", delimiter, "2\n");
    EXPECT_THAT(Read(file).records, ElementsAre("1@2 a=1 b,,,;;;|||=2")) << delimiter;
  }
  EXPECT_THAT(Read("sep=|\na|b,c,d\n1|2\n").records, ElementsAre("1@3 a=1 b,c,d=2"));
  EXPECT_THAT(Read("a;b,c,d\n1;2\n", {.format = FileFormat::kCsv, .delimiter = ';'}).records,
              ElementsAre("1@2 a=1 b,c,d=2"));
  EXPECT_EQ(SniffDelimiter("email"), ',');
}

TEST(CsvTest, TabsSeparateAlsoEmptyFields) {
  EXPECT_THAT(Read("a\tb\tc\n1\t\t3\n\t2\t\n").records,
              ElementsAre("1@2 a=1 b= c=3", "2@3 a= b=2 c="));
}

TEST(CsvTest, BlanksAroundUnquotedFieldsAreCut) {
  EXPECT_THAT(Read(" a , b\n 1 ,\" 2 \"\n").records, ElementsAre("1@2 a=1 b= 2 "));
}

TEST(CsvTest, ShortRecordsAreFineAndLongOnesRefused) {
  const Outcome outcome = Read("a,b\n1\n1,2,,\n1,2,3\n4,5\n");
  EXPECT_THAT(outcome.records, ElementsAre("1@2 a=1", "2@3 a=1 b=2", "3@4 refused", "4@5 a=4 b=5"));
  EXPECT_THAT(outcome.reasons, ElementsAre("has 3 fields, the header only 2"));
}

TEST(CsvTest, AnUnclosedQuoteCostsOnlyItsOwnLine) {
  EXPECT_THAT(Read("id,n\n1,a\n2,\"b\n3,c\n4,d\n").records,
              ElementsAre("1@2 id=1 n=a", "2@3 refused", "3@4 id=3 n=c", "4@5 id=4 n=d"));
  // The next quote makes the fault visible long before the end of the file.
  EXPECT_THAT(Read("id,n\n1,\"b\n2,c\n3,\"d\"\n4,e\n").records,
              ElementsAre("1@2 refused", "2@3 id=2 n=c", "3@4 id=3 n=d", "4@5 id=4 n=e"));
}

TEST(CsvTest, AQuoteInTheMiddleOfAFieldIsRefused) {
  const Outcome outcome = Read("id,n\n1,5\" pipe\n2,\"a\"b\n3,c\n");
  EXPECT_THAT(outcome.records, ElementsAre("1@2 refused", "2@3 refused", "3@4 id=3 n=c"));
}

TEST(CsvTest, ManyUnclosedQuotesDoNotCostTheSquareOfTheFile) {
  std::string file = "id,n\n";
  for (int i = 0; i < 60'000; ++i) absl::StrAppend(&file, i, ",\"x\n");
  const Outcome outcome = Read(file);
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.records[0], "1@2 refused");
}

TEST(CsvTest, SizesAreBounded) {
  const ReaderOptions options{
      .format = FileFormat::kCsv, .max_field_bytes = 10, .max_record_bytes = 40};
  const Outcome outcome =
      Read(absl::StrCat("a,b\n1,", std::string(11, 'x'), "\n2,", std::string(10, 'x'), "\n3,",
                        std::string(100, 'x'), "\n4,y\n"),
           options, 7);
  EXPECT_THAT(outcome.records,
              ElementsAre("1@2 refused", "2@3 a=2 b=xxxxxxxxxx", "3@4 refused", "4@5 a=4 b=y"));
  EXPECT_THAT(outcome.reasons[0], HasSubstr("longer than 10 bytes"));
  EXPECT_THAT(outcome.reasons[1], HasSubstr("larger than 40 bytes"));
}

TEST(CsvTest, ARecordThatIsNotUtf8IsRefusedAlone) {
  const Outcome outcome = Read("a,b\n1,caf\xE9\n2,caf\xC3\xA9\n3,x\n");
  EXPECT_THAT(outcome.records, ElementsAre("1@2 refused", "2@3 a=2 b=caf\xC3\xA9", "3@4 a=3 b=x"));
  EXPECT_THAT(outcome.reasons, ElementsAre("field 2 is not UTF-8"));
  EXPECT_THAT(Read(absl::string_view("a,b\n1,x\0y\n", 10)).records, ElementsAre("1@2 refused"));
}

TEST(CsvTest, FilesThatAreNoTextAreRefusedAsAWhole) {
  EXPECT_THAT(std::string(Read("\xFF\xFE"
                               "a")
                              .status.message()),
              HasSubstr("UTF-16"));
  EXPECT_THAT(std::string(Read("PK\x03\x04xyz").status.message()), HasSubstr("spreadsheet"));
  EXPECT_THAT(std::string(Read("\x1F\x8Bxyz").status.message()), HasSubstr("compressed"));
  EXPECT_THAT(std::string(Read("").status.message()), HasSubstr("is empty"));
  EXPECT_THAT(std::string(Read(" \n\n").status.message()), HasSubstr("is empty"));
}

TEST(CsvTest, ABadHeaderIsAFaultOfTheFile) {
  EXPECT_THAT(std::string(Read("a,b,a\n1,2,3\n").status.message()),
              HasSubstr("the column a occurs twice"));
  EXPECT_EQ(Read("a,\"b\n1,2\n").status.message(), "file: header line: a quote is not closed");
  EXPECT_FALSE(Read(",,\n1,2\n").status.ok());
  EXPECT_TRUE(Read("a,,\n1,2,3\n").status.ok());
  EXPECT_FALSE(Read("a,b\n", {.format = FileFormat::kCsv, .max_columns = 1}).status.ok());
}

TEST(CsvTest, AFaultOfTheFileIsReturnedAgain) {
  const auto reader = MakeImportReader({.format = FileFormat::kCsv});
  const auto sink = [](const ImportRecord&) { FAIL() << "no record may come"; };
  EXPECT_FALSE(reader->Feed("a,a\n1,2\n", sink).ok());
  EXPECT_FALSE(reader->Feed("3,4\n", sink).ok());
  EXPECT_FALSE(reader->Finish(sink).ok());
}

Outcome ReadJson(absl::string_view file, size_t chunk = absl::string_view::npos) {
  return Read(file, {.format = FileFormat::kNdjson, .max_record_bytes = 400}, chunk);
}

TEST(NdjsonTest, MembersBecomeCells) {
  const absl::string_view file =
      R"({"email":"a@x.com","attributes":{"plan":"pro","visits":7},"topics":{"news":"subscribe"}})"
      "\r\n\n"
      R"({"ok":true,"nothing":null,"tags":["b","a"],"big":18446744073709551615,"d":12.5})";
  for (const size_t chunk : {size_t{1}, size_t{5}, absl::string_view::npos}) {
    EXPECT_THAT(ReadJson(file, chunk).records,
                ElementsAre("1@1 email=a@x.com attributes.plan=pro attributes.visits=7 "
                            "topics.news=subscribe",
                            "2@3 ok=true nothing= tags=b;a big=18446744073709551615 d=12.5"));
  }
}

TEST(NdjsonTest, KindsAreKept) {
  std::vector<ImportCell::Kind> kinds;
  const auto sink = [&](const ImportRecord& record) {
    EXPECT_TRUE(record.typed);
    for (const ImportCell& cell : record.cells) kinds.push_back(cell.kind);
  };
  const auto reader = MakeImportReader({.format = FileFormat::kNdjson});
  ASSERT_TRUE(reader->Feed(R"({"a":"7","b":7,"c":true,"d":null,"e":["x"]})", sink).ok());
  ASSERT_TRUE(reader->Finish(sink).ok());
  using Kind = ImportCell::Kind;
  EXPECT_THAT(kinds,
              ElementsAre(Kind::kText, Kind::kNumber, Kind::kBool, Kind::kNull, Kind::kTextSet));
}

TEST(NdjsonTest, ABadLineNeverStopsTheRest) {
  const Outcome outcome = ReadJson(
      absl::StrCat("{\"a\":1}\n{\"a\":\n[1]\n7\n{\"a\":{\"b\":1}}\n{\"a\":[1]}\n{\"a\":\"\xFF\"}\n"
                   "{\"a\":\"x\\u0000y\"}\n{\"a\":1e999}\n{\"\":1}\n{\"a\":\"",
                   std::string(500, 'x'), "\"}\n{\"a\":2}\n"));
  EXPECT_THAT(outcome.records, SizeIs(12));
  EXPECT_EQ(outcome.records.front(), "1@1 a=1");
  EXPECT_EQ(outcome.records.back(), "12@12 a=2");
  for (size_t i = 1; i + 1 < outcome.records.size(); ++i) {
    EXPECT_THAT(outcome.records[i], HasSubstr("refused"));
  }
  EXPECT_TRUE(outcome.status.ok());
}

TEST(SniffingTest, TheFirstCharacterTellsTheFormat) {
  for (const size_t chunk : {size_t{1}, size_t{2}, absl::string_view::npos}) {
    EXPECT_THAT(Read("\xEF\xBB\xBF \n{\"a\":1}\n", {}, chunk).records, ElementsAre("1@2 a=1"));
    EXPECT_THAT(Read("\xEF\xBB\xBF"
                     "a,b\n1,2\n",
                     {}, chunk)
                    .records,
                ElementsAre("1@2 a=1 b=2"));
    EXPECT_THAT(Read("a\n1", {}, chunk).records, ElementsAre("1@2 a=1"));
  }
  EXPECT_FALSE(Read("", {}).status.ok());
}

}  // namespace
}  // namespace clm::contact
