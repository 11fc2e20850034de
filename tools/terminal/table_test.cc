#include "tools/terminal/table.h"

#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "libs/base/error.h"

namespace clm::terminal {
namespace {

Table Contacts() {
  Table table({{"name"},
               {"given_name", "GIVEN"},
               {"orders"},
               {"revenue"},
               {"share"},
               {"create_time", "CREATED"},
               {"in_stage", "IN STAGE", /*wide=*/true},
               {"active", "", /*wide=*/true}});
  const absl::Time time = absl::FromUnixSeconds(1'795'251'600);
  table.Add(
      {"contacts/1", "Zoë", 12, Money{123'450, "EUR"}, Share{0.25}, time, absl::Hours(52), true});
  table.Add({"contacts/22",
             "東京, \"Ko\"",
             1'234,
             Money{-5, "EUR"},
             Value{},
             Value{},
             Value{},
             {Value{false}, Tone::kBad}});
  return table;
}

std::string Text(const Table& table, Format format, const Screen& screen = {}) {
  std::ostringstream out;
  Write(table, format, screen, out);
  return out.str();
}

TEST(TableTest, ForPeopleColumnsAlign) {
  EXPECT_EQ(Text(Contacts(), Format::kTable),
            "NAME         GIVEN       ORDERS       REVENUE  SHARE  CREATED\n"
            "contacts/1   Zoë             12  1,234.50 EUR  25.0%  2026-11-21 09:00\n"
            "contacts/22  東京, \"Ko\"   1,234     -0.05 EUR      -  -\n");
}

TEST(TableTest, WideShowsEveryColumnUncut) {
  EXPECT_EQ(
      Text(Contacts(), Format::kWide, {.tty = true, .width = 20}),
      "NAME         GIVEN       ORDERS       REVENUE  SHARE  CREATED           IN STAGE  ACTIVE\n"
      "contacts/1   Zoë             12  1,234.50 EUR  25.0%  2026-11-21 09:00   2 d 4 h  yes\n"
      "contacts/22  東京, \"Ko\"   1,234     -0.05 EUR      -  -                        -  no\n");
}

TEST(TableTest, OnATerminalTextIsCutToTheWidthButNumbersAreNot) {
  Table table({{"name"}, {"label"}, {"count"}});
  table.Add({"tenants/acme/contacts/0190", "a label that goes on", 1'000'000});
  EXPECT_EQ(Text(table, Format::kTable, {.tty = true, .width = 40}),
            "NAME           LABEL               COUNT\n"
            "tenants/acme…  a label that …  1,000,000\n");
  for (const int width : {1, 10, 20}) {
    const std::string text = Text(table, Format::kTable, {.tty = true, .width = width});
    EXPECT_NE(text.find("1,000,000"), std::string::npos);
    EXPECT_NE(text.find("tenants…"), std::string::npos);  // Never below eight columns.
  }
  EXPECT_NE(Text(table, Format::kTable).find("contacts/0190"),
            std::string::npos);  // A pipe cuts nothing.
}

TEST(TableTest, ColourDoesNotMoveTheColumns) {
  std::string text = Text(Contacts(), Format::kWide, {.tty = true, .color = true, .width = 200});
  EXPECT_NE(text.find("\033[31mno\033[0m"), std::string::npos);
  for (size_t at = text.find('\033'); at != std::string::npos; at = text.find('\033')) {
    text.erase(at, text.find('m', at) - at + 1);
  }
  EXPECT_EQ(text, Text(Contacts(), Format::kWide));
}

TEST(TableTest, AnEmptyTableSaysSoToPeopleOnly) {
  Table table({{"name"}, {"count"}});
  table.set_empty_text("no contacts match");
  EXPECT_EQ(Text(table, Format::kTable), "no contacts match\n");
  EXPECT_EQ(Text(table, Format::kJson), "[]\n");
  EXPECT_EQ(Text(table, Format::kYaml), "[]\n");
  EXPECT_EQ(Text(table, Format::kCsv), "name,count\n");
  EXPECT_EQ(Text(table, Format::kNdjson), "");
  EXPECT_EQ(Text(table, Format::kName), "");
}

TEST(TableTest, ACellCannotPlayWithTheTerminal) {
  Table table({{"name"}});
  table.Add({"a\033[2J\nb"});
  EXPECT_EQ(Text(table, Format::kTable), "NAME\na\ufffd[2J b\n");
  EXPECT_EQ(Text(table, Format::kName), "a\ufffd[2J b\n");
}

TEST(TableTest, JsonIsTyped) {
  EXPECT_EQ(
      Text(Contacts(), Format::kNdjson),
      "{\"name\":\"contacts/1\",\"given_name\":\"Zoë\",\"orders\":12,\"revenue\":{\"amount_minor\":"
      "123450,\"currency\":\"EUR\"},\"share\":0.25,\"create_time\":\"2026-11-21T09:00:00.000000Z\","
      "\"in_stage\":\"187200s\",\"active\":true}\n"
      "{\"name\":\"contacts/22\",\"given_name\":\"東京, \\\"Ko\\\"\",\"orders\":1234,\"revenue\":{"
      "\"amount_minor\":-5,\"currency\":\"EUR\"},\"share\":null,\"create_time\":null,\"in_stage\":"
      "null,"
      "\"active\":false}\n");
  Table table({{"name"}, {"x"}});
  table.Add({"\xff", std::nan("")});
  EXPECT_EQ(Text(table, Format::kJson),
            "[\n  {\n    \"name\": \"\ufffd\",\n    \"x\": null\n  }\n]\n");
}

TEST(TableTest, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(Text(Contacts(), Format::kCsv),
            "name,given_name,orders,revenue,share,create_time,in_stage,active\n"
            "contacts/1,Zoë,12,1234.50 EUR,0.25,2026-11-21T09:00:00.000000Z,187200,true\n"
            "contacts/22,\"東京, \"\"Ko\"\"\",1234,-0.05 EUR,,,,false\n");
}

TEST(TableTest, NamesArePlainLines) {
  EXPECT_EQ(Text(Contacts(), Format::kName), "contacts/1\ncontacts/22\n");
  Table table({{"stage"}, {"count"}});
  table.Add({"lead", 1});
  EXPECT_EQ(Text(table, Format::kName), "lead\n");
}

TEST(TableTest, YamlIsBlockStyle) {
  Table table({{"name"}, {"count"}, {"revenue"}});
  table.Add({"contacts/1", 3, Money{5, "EUR"}});
  table.Add({"yes", Value{}, Value{}});
  EXPECT_EQ(Text(table, Format::kYaml),
            "- name: contacts/1\n"
            "  count: 3\n"
            "  revenue:\n"
            "    amount_minor: 5\n"
            "    currency: EUR\n"
            "- name: \"yes\"\n"
            "  count: null\n"
            "  revenue: null\n");
}

TEST(TableTest, FewerCellsAreFilledUp) {
  Table table({{"name"}, {"count"}});
  table.Add({"a"});
  EXPECT_EQ(Text(table, Format::kCsv), "name,count\na,\n");
}

TEST(WriteOneTest, DescribesOneThing) {
  Table table({{"name"}, {"create_time", "CREATED"}, {"etag", "", /*wide=*/true}});
  table.Add({"contacts/1", absl::FromUnixSeconds(1'795'251'600), "\"v1\""});
  const auto text = [&](Format format) {
    std::ostringstream out;
    WriteOne(table, format, {}, out);
    return out.str();
  };
  EXPECT_EQ(text(Format::kTable),
            "NAME     contacts/1\n"
            "CREATED  2026-11-21 09:00\n");
  EXPECT_EQ(text(Format::kWide),
            "NAME     contacts/1\n"
            "CREATED  2026-11-21 09:00\n"
            "ETAG     \"v1\"\n");
  EXPECT_EQ(text(Format::kYaml),
            "name: contacts/1\n"
            "create_time: \"2026-11-21T09:00:00.000000Z\"\n"
            "etag: \"\\\"v1\\\"\"\n");
  EXPECT_EQ(text(Format::kName), "contacts/1\n");
}

TEST(YamlTest, QuotesWhatYamlWouldReadOtherwise) {
  EXPECT_EQ(*JsonToYaml(
                R"({"a":["x","1","1e3","-","- x","a: b","a #b","#","null","No","~","","2026-11-21",
                                 "a:", " a","*x","a\nb","{}","true", 1, 1.5, true, null, [], {}]})"),
            "a:\n"
            "  - x\n"
            "  - \"1\"\n"
            "  - \"1e3\"\n"
            "  - \"-\"\n"
            "  - \"- x\"\n"
            "  - \"a: b\"\n"
            "  - \"a #b\"\n"
            "  - \"#\"\n"
            "  - \"null\"\n"
            "  - \"No\"\n"
            "  - \"~\"\n"
            "  - \"\"\n"
            "  - \"2026-11-21\"\n"
            "  - \"a:\"\n"
            "  - \" a\"\n"
            "  - \"*x\"\n"
            "  - \"a\\nb\"\n"
            "  - \"{}\"\n"
            "  - \"true\"\n"
            "  - 1\n"
            "  - 1.5\n"
            "  - true\n"
            "  - null\n"
            "  - []\n"
            "  - {}\n");
  EXPECT_EQ(*JsonToYaml("[[1,2],{\"a\":{\"b\":1},\"c\":2}]"),
            "- - 1\n  - 2\n- a:\n    b: 1\n  c: 2\n");
  EXPECT_FALSE(JsonToYaml("{").ok());
}

TEST(MessagesTest, GoOutAsCanonicalJson) {
  google::rpc::ErrorInfo info;
  info.set_reason("R");
  (*info.mutable_metadata())["key"] = "value";
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  const auto text = [&](bool many, Format format) {
    std::ostringstream out;
    EXPECT_TRUE(WriteMessages({&info}, many, format, out).ok());
    return out.str();
  };
  EXPECT_EQ(text(false, Format::kJson),
            "{\n  \"reason\": \"R\",\n  \"metadata\": {\n    \"key\": \"value\"\n  }\n}\n");
  EXPECT_EQ(text(true, Format::kYaml), "- reason: R\n  metadata:\n    key: value\n");
  EXPECT_EQ(text(false, Format::kNdjson), "{\"reason\":\"R\",\"metadata\":{\"key\":\"value\"}}\n");
  std::ostringstream out;
  EXPECT_TRUE(WriteMessages({&retry}, false, Format::kNdjson, out).ok());
  EXPECT_EQ(out.str(), "{\"retry_delay\":\"2s\"}\n");  // Names as in the .proto files.
  EXPECT_EQ(WriteMessages({&info}, false, Format::kTable, out).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(FormatTest, AllNamesParseAndAnUnknownOneIsExplained) {
  for (size_t i = 0; i < FormatNames().size(); ++i) {
    EXPECT_EQ(*ParseFormat(FormatNames()[i]), static_cast<Format>(i));
  }
  EXPECT_EQ(*ParseFormat("name"), Format::kName);
  EXPECT_EQ(*ParseFormat("table"), Format::kTable);
  EXPECT_EQ(
      ParseFormat("jsno").status().message(),
      "--output: must be one of table, wide, json, yaml, csv, ndjson, name; did you mean json?");
}

}  // namespace
}  // namespace clm::terminal
