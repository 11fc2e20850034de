#include "libs/rpc/validator.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/options/v1/options.pb.h"
#include "libs/base/error.h"
#include "libs/rpc/field_mask.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/formats.h"
#include "libs/rpc/method.h"

namespace clm::rpc {
namespace {

namespace pb = google::protobuf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// The messages of these tests, made at run time.
constexpr char kFile[] = R"pb(
  name: "validator_test.proto"
  package: "t"
  syntax: "proto3"
  dependency: "clm/options/v1/options.proto"
  dependency: "google/protobuf/field_mask.proto"
  dependency: "google/protobuf/struct.proto"
  dependency: "google/protobuf/timestamp.proto"
  dependency: "google/protobuf/wrappers.proto"
  message_type {
    name: "Thing"
    field {
      name: "name"
      number: 1
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { resource: "tenants/*/things/*" behavior: BEHAVIOR_OUTPUT_ONLY }
      }
    }
    field {
      name: "title"
      number: 2
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_REQUIRED min_length: 3 max_length: 10 }
      }
    }
    field {
      name: "email"
      number: 3
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { format: FORMAT_EMAIL }
      }
    }
    field {
      name: "size"
      number: 4
      type: TYPE_INT32
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { min: -1 max: 5 }
      }
    }
    field { name: "ratio" number: 5 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
    field { name: "page_size" number: 19 type: TYPE_INT32 label: LABEL_OPTIONAL }
    field {
      name: "kind"
      number: 6
      type: TYPE_ENUM
      type_name: ".t.Kind"
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_REQUIRED }
      }
    }
    field {
      name: "tags"
      number: 7
      type: TYPE_STRING
      label: LABEL_REPEATED
      options {
        [clm.options.v1.field] { max_items: 2 pattern: "[a-z]+" }
      }
    }
    field { name: "parts" number: 8 type: TYPE_MESSAGE type_name: ".t.Part" label: LABEL_REPEATED }
    field {
      name: "when"
      number: 9
      type: TYPE_MESSAGE
      type_name: ".google.protobuf.Timestamp"
      label: LABEL_OPTIONAL
    }
    field {
      name: "data"
      number: 10
      type: TYPE_MESSAGE
      type_name: ".google.protobuf.Struct"
      label: LABEL_OPTIONAL
    }
    field {
      name: "texts"
      number: 11
      type: TYPE_MESSAGE
      type_name: ".t.Thing.TextsEntry"
      label: LABEL_REPEATED
      options {
        [clm.options.v1.field] { max_length: 4 }
      }
    }
    field {
      name: "stamp"
      number: 12
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_OUTPUT_ONLY }
      }
    }
    field {
      name: "birth"
      number: 13
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_IMMUTABLE }
      }
    }
    field {
      name: "by_mail"
      number: 14
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      oneof_index: 0
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_REQUIRED }
      }
    }
    field {
      name: "by_phone"
      number: 15
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      oneof_index: 0
      options {
        [clm.options.v1.field] { format: FORMAT_E164 behavior: BEHAVIOR_REQUIRED }
      }
    }
    field {
      name: "owner"
      number: 16
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { resource: "tenants/*/people/*" }
      }
    }
    field {
      name: "count"
      number: 17
      type: TYPE_MESSAGE
      type_name: ".google.protobuf.Int64Value"
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { max: 9 }
      }
    }
    field {
      name: "main_part"
      number: 18
      type: TYPE_MESSAGE
      type_name: ".t.Part"
      label: LABEL_OPTIONAL
    }
    oneof_decl { name: "reach" }
    nested_type {
      name: "TextsEntry"
      field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
      options { map_entry: true }
    }
  }
  message_type {
    name: "Part"
    field {
      name: "code"
      number: 1
      type: TYPE_STRING
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_REQUIRED }
      }
    }
    field { name: "inner" number: 2 type: TYPE_MESSAGE type_name: ".t.Part" label: LABEL_OPTIONAL }
    field { name: "note" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  message_type {
    name: "UpdateThingRequest"
    field {
      name: "thing"
      number: 1
      type: TYPE_MESSAGE
      type_name: ".t.Thing"
      label: LABEL_OPTIONAL
      options {
        [clm.options.v1.field] { behavior: BEHAVIOR_REQUIRED }
      }
    }
    field {
      name: "update_mask"
      number: 2
      type: TYPE_MESSAGE
      type_name: ".google.protobuf.FieldMask"
      label: LABEL_OPTIONAL
    }
    field { name: "request_id" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  enum_type {
    name: "Kind"
    value { name: "KIND_UNSPECIFIED" number: 0 }
    value { name: "KIND_A" number: 1 }
  }
  service {
    name: "Things"
    method { name: "NoPolicy" input_type: ".t.UpdateThingRequest" output_type: ".t.Thing" }
    method {
      name: "NoScope"
      input_type: ".t.UpdateThingRequest"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { tenant_field: "thing.name" }
      }
    }
    method {
      name: "NoTenant"
      input_type: ".t.UpdateThingRequest"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { scope: "s.read" }
      }
    }
    method {
      name: "BadTenant"
      input_type: ".t.UpdateThingRequest"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { scope: "s.read" tenant_field: "thing.nope" }
      }
    }
    method {
      name: "RepeatedTenant"
      input_type: ".t.Thing"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { scope: "s.read" tenant_field: "tags" }
      }
    }
    method {
      name: "NoRequestId"
      input_type: ".t.Thing"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { scope: "s.read" tenant_field: "name" mutation: true }
      }
    }
    method {
      name: "Good"
      input_type: ".t.UpdateThingRequest"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { scope: "s.write" tenant_field: "thing.name" mutation: true }
      }
    }
    method {
      name: "Suite"
      input_type: ".t.Thing"
      output_type: ".t.Thing"
      options {
        [clm.options.v1.policy] { audience: AUDIENCE_SUITE }
      }
    }
  }
)pb";

// Lives for ever, as descriptors do: validators keep pointers to them.
class Messages {
 public:
  static Messages& Get() {
    static Messages* const messages = new Messages;
    return *messages;
  }
  std::unique_ptr<pb::Message> New(const std::string& type, const std::string& text) {
    std::unique_ptr<pb::Message> message(
        factory_.GetPrototype(file_->FindMessageTypeByName(type))->New());
    EXPECT_TRUE(pb::TextFormat::ParseFromString(text, message.get())) << text;
    return message;
  }
  const pb::FileDescriptor* file() const { return file_; }

 private:
  Messages() : pool_(pb::DescriptorPool::generated_pool()), factory_(&pool_) {
    // Links the files that kFile imports.
    options::v1::FieldRule::descriptor();
    pb::FieldMask::descriptor();
    pb::Struct::descriptor();
    pb::Timestamp::descriptor();
    pb::Int64Value::descriptor();
    factory_.SetDelegateToGeneratedFactory(true);
    pb::FileDescriptorProto proto;
    if (!pb::TextFormat::ParseFromString(kFile, &proto)) std::abort();
    file_ = pool_.BuildFile(proto);
    if (file_ == nullptr) std::abort();
  }
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  const pb::FileDescriptor* file_;
};

constexpr char kGood[] = "title: 'good' kind: KIND_A by_mail: 'x' ";

absl::Status Check(pb::Message& message, const std::string& tenant = "") {
  return Validator::For(message.GetDescriptor()).Check(message, tenant);
}

absl::Status CheckThing(const std::string& text, const std::string& tenant = "") {
  const auto thing = Messages::Get().New("Thing", text);
  return Check(*thing, tenant);
}

std::vector<std::string> Fields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

std::vector<std::string> BadFields(const std::string& extra) {
  return Fields(CheckThing(kGood + extra));
}

TEST(ValidatorTest, ASoundMessagePasses) { EXPECT_TRUE(CheckThing(kGood).ok()); }

TEST(ValidatorTest, EveryBadFieldIsReportedWithItsWholePath) {
  const absl::Status status = CheckThing(
      "title: 'ab' email: 'nobody' size: 6 tags: 'ok' tags: 'NO' parts {} parts { code: 'c' inner "
      "{} } "
      "by_phone: '12'");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Fields(status),
              UnorderedElementsAre("title", "email", "size", "kind", "tags[1]", "parts[0].code",
                                   "parts[1].inner.code", "by_phone"));
}

absl::Status NotesAreBad(const pb::Message&, absl::Time) {
  error::FieldErrors errors;
  errors.Add("note", "is not what the owner of the type wants");
  errors.Add("code", "is not what the owner of the type wants");
  return errors.ToStatus();
}

TEST(ValidatorTest, ARefusalIsCompletedByTheRulesOfTypes) {
  const auto complete = [](const std::string& type, const std::string& text, const char* refused) {
    const auto message = Messages::Get().New(type, text);
    const Validator& validator = Validator::For(message->GetDescriptor());
    EXPECT_TRUE(validator.Complete(*message, absl::OkStatus(), absl::Now()).ok());
    EXPECT_TRUE(error::FieldViolations(
                    validator.Complete(*message, error::NotFound("tenants/acme"), absl::Now()))
                    .empty());
    return Fields(
        validator.Complete(*message, error::InvalidField(refused, "is bad"), absl::Now()));
  };
  const std::string text = "code: 'c' inner { note: 'n' }";
  EXPECT_THAT(complete("Part", text, "code"), ElementsAre("code"));
  Validator::AddRules(Messages::Get().file()->FindMessageTypeByName("Part"), &NotesAreBad);
  // Each field once, whoever speaks of it.
  EXPECT_THAT(complete("Part", text, "code"),
              UnorderedElementsAre("code", "note", "inner.note", "inner.code"));
}

// The rules of a type speak of fields that an update does not touch, too.
TEST(ValidatorTest, OfAnUpdateOnlyWhatItsMaskTouchesIsCompleted) {
  Validator::AddRules(Messages::Get().file()->FindMessageTypeByName("Thing"),
                      [](const pb::Message&, absl::Time) {
                        error::FieldErrors errors;
                        for (const char* field : {"email", "texts.ada", "texts.bob", "size"}) {
                          errors.Add(field, "is not what the owner of the type wants");
                        }
                        return errors.ToStatus();
                      });
  const auto complete = [](const std::string& text) {
    const auto request = Messages::Get().New("UpdateThingRequest", text);
    return Fields(
        Validator::For(request->GetDescriptor())
            .Complete(*request, error::InvalidField("thing.title", "is bad"), absl::Now()));
  };
  EXPECT_THAT(complete("thing {} update_mask { paths: 'email' paths: 'texts.ada' }"),
              UnorderedElementsAre("thing.title", "thing.email", "thing.texts.ada"));
  EXPECT_THAT(complete("thing {} update_mask { paths: 'texts' }"),
              UnorderedElementsAre("thing.title", "thing.texts.ada", "thing.texts.bob"));
  EXPECT_EQ(complete("thing {} update_mask { paths: '*' }").size(), 5u);
  EXPECT_EQ(complete("thing {}").size(), 5u);
}

TEST(ValidatorTest, ARefusalThatShowsAllItCanStaysAsItIs) {
  error::FieldErrors errors;
  for (int i = 0; i < 25; ++i) errors.Add(absl::StrCat("texts.", i), "is bad");
  const absl::Status refused = errors.ToStatus();
  const auto request = Messages::Get().New("UpdateThingRequest", "thing {}");
  const Validator& validator = Validator::For(request->GetDescriptor());
  EXPECT_EQ(validator.Complete(*request, refused, absl::Now()), refused);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("; and 5 more"));
}

TEST(ValidatorTest, TheValueIsNeverQuoted) {
  const absl::Status status =
      CheckThing("email: 'ada-at-example' texts { key: 'ada lovelace' value: 'much too long' }");
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("ada")));
}

TEST(ValidatorTest, WhatIsRequiredMayNotBeMissing) {
  EXPECT_THAT(Fields(CheckThing("")), UnorderedElementsAre("title", "kind", "reach"));
}

TEST(ValidatorTest, AOneofWithRequiredMembersNeedsOneOfThem) {
  EXPECT_TRUE(CheckThing("title: 'abc' kind: KIND_A by_phone: '+4930123456'").ok());
}

TEST(ValidatorTest, LengthsAreBytesAtMostAndCharactersAtLeast) {
  EXPECT_THAT(Fields(CheckThing("title: '\\303\\244\\303\\266' kind: KIND_A by_mail: 'x'")),
              ElementsAre("title"));
  EXPECT_TRUE(CheckThing("title: '\\303\\244\\303\\266\\303\\274' kind: KIND_A by_mail: 'x'").ok());
  EXPECT_THAT(Fields(CheckThing("title: '12345678901' kind: KIND_A by_mail: 'x'")),
              ElementsAre("title"));
  EXPECT_TRUE(CheckThing("title: '1234567890' kind: KIND_A by_mail: 'x'").ok());
}

TEST(ValidatorTest, AFieldWithoutRuleHasTheDefaultLimit) {
  EXPECT_THAT(BadFields("main_part { code: 'c' note: '" + std::string(4096, 'x') + "' }"),
              IsEmpty());
  EXPECT_THAT(BadFields("main_part { code: 'c' note: '" + std::string(4097, 'x') + "' }"),
              ElementsAre("main_part.note"));
}

TEST(ValidatorTest, NulIsRefusedInTexts) {
  EXPECT_THAT(BadFields("main_part { code: 'a\\000b' }"), ElementsAre("main_part.code"));
}

TEST(ValidatorTest, NumbersStayWithinTheirBounds) {
  EXPECT_THAT(BadFields("size: -1"), IsEmpty());
  EXPECT_THAT(BadFields("size: 5"), IsEmpty());
  EXPECT_THAT(BadFields("size: -2"), ElementsAre("size"));
  EXPECT_THAT(BadFields("size: 6"), ElementsAre("size"));
  EXPECT_THAT(BadFields("count { value: 10 }"), ElementsAre("count"));
  EXPECT_THAT(BadFields("ratio: nan"), ElementsAre("ratio"));
  EXPECT_THAT(BadFields("ratio: inf"), ElementsAre("ratio"));
}

TEST(ValidatorTest, APageSizeIsNotNegativeWhetherThereIsARuleOrNot) {
  EXPECT_THAT(BadFields("page_size: 5000"), IsEmpty());
  EXPECT_THAT(BadFields("page_size: -1 size: 6"), UnorderedElementsAre("page_size", "size"));
}

TEST(ValidatorTest, AnUnknownEnumValueIsRefused) {
  const auto thing = Messages::Get().New("Thing", kGood);
  thing->GetReflection()->SetEnumValue(thing.get(), thing->GetDescriptor()->FindFieldByName("kind"),
                                       7);
  EXPECT_THAT(Fields(Check(*thing)), ElementsAre("kind"));
}

TEST(ValidatorTest, ListsAndMapsHaveLimits) {
  EXPECT_THAT(BadFields("tags: 'a' tags: 'b'"), IsEmpty());
  EXPECT_THAT(BadFields("tags: 'a' tags: 'b' tags: 'c'"), ElementsAre("tags"));
  EXPECT_THAT(BadFields("texts { key: 'color' value: 'blue' }"), IsEmpty());
  EXPECT_THAT(BadFields("texts { key: 'color' value: 'green' }"), ElementsAre("texts[color]"));
  EXPECT_THAT(BadFields("texts { key: '' value: 'x' }"), ElementsAre("texts[?]"));
}

TEST(ValidatorTest, TimesLieInTheYearsOfTheCalendar) {
  EXPECT_THAT(BadFields("when { seconds: -62135596800 }"), IsEmpty());
  EXPECT_THAT(BadFields("when { seconds: 253402300799 nanos: 999999999 }"), IsEmpty());
  EXPECT_THAT(BadFields("when { seconds: -62135596801 }"), ElementsAre("when"));
  EXPECT_THAT(BadFields("when { seconds: 253402300800 }"), ElementsAre("when"));
  EXPECT_THAT(BadFields("when { nanos: -1 }"), ElementsAre("when"));
}

TEST(ValidatorTest, StructsAreBoundedInDepthAndSize) {
  const auto nested = [](int levels) {
    std::string text = "number_value: 1";
    for (int i = 1; i < levels; ++i) {
      text = absl::StrCat("struct_value { fields { key: 'a' value { ", text, " } } }");
    }
    return "data { fields { key: 'a' value { " + text + " } } }";
  };
  EXPECT_THAT(BadFields(nested(16)), IsEmpty());
  EXPECT_THAT(BadFields(nested(17)), ElementsAre("data"));
  EXPECT_THAT(BadFields("data { fields { key: 'a' value { string_value: '" +
                        std::string(65 * 1024, 'x') + "' } } }"),
              ElementsAre("data"));
  EXPECT_THAT(BadFields("data { fields { key: 'a' value { number_value: nan } } }"),
              ElementsAre("data"));
}

TEST(ValidatorTest, MessagesAreBoundedInDepth) {
  std::string part = "code: 'c'";
  for (int i = 0; i < 40; ++i) part = absl::StrCat("code: 'c' inner { ", part, " }");
  EXPECT_FALSE(CheckThing(std::string(kGood) + "main_part { " + part + " }").ok());
}

TEST(ValidatorTest, OutputOnlyFieldsAreClearedButNotTheName) {
  const auto thing = Messages::Get().New(
      "Thing", std::string(kGood) + "name: 'tenants/acme/things/1' stamp: 'forged'");
  ASSERT_TRUE(Check(*thing, "acme").ok());
  EXPECT_THAT(thing->DebugString(), testing::Not(HasSubstr("forged")));
  EXPECT_THAT(thing->DebugString(), HasSubstr("tenants/acme/things/1"));
}

TEST(ValidatorTest, AResourceOfAnotherTenantIsNotFound) {
  const std::string foreign = std::string(kGood) + "owner: 'tenants/other/people/1'";
  EXPECT_EQ(CheckThing(foreign, "acme").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(CheckThing(foreign, "other").ok());
  EXPECT_TRUE(CheckThing(foreign, "").ok());
  // Before any bad field is told.
  EXPECT_EQ(CheckThing("owner: 'tenants/other/people/1'", "acme").code(),
            absl::StatusCode::kNotFound);
  for (const char* bad :
       {"tenants/acme", "tenants/ACME/people/1", "tenants/acme/people/", "tenants/acme/people/1/x",
        "tenants/acme/things/1", "tenants/acme/people/a b", "people/1"}) {
    EXPECT_THAT(BadFields(std::string("owner: '") + bad + "'"), ElementsAre("owner")) << bad;
  }
}

absl::Status CheckUpdate(const std::string& text) {
  const auto request = Messages::Get().New("UpdateThingRequest", text);
  return Check(*request);
}

TEST(ValidatorTest, AnUpdateNeedsOnlyWhatItsMaskNames) {
  EXPECT_TRUE(CheckUpdate("thing { email: 'a@b.example' }").ok());
  EXPECT_TRUE(CheckUpdate("thing { } update_mask { paths: 'email' }").ok());
  EXPECT_THAT(Fields(CheckUpdate("thing { } update_mask { paths: 'title' }")),
              ElementsAre("thing.title"));
  EXPECT_THAT(Fields(CheckUpdate("thing { } update_mask { paths: '*' }")),
              UnorderedElementsAre("thing.title", "thing.kind", "thing.reach"));
  // Values are checked whatever the mask says.
  EXPECT_THAT(Fields(CheckUpdate("thing { email: 'x' }")), ElementsAre("thing.email"));
  EXPECT_THAT(Fields(CheckUpdate("update_mask { paths: '*' }")), ElementsAre("thing"));
}

TEST(ValidatorTest, AMaskIntoAMessageBindsThatPartOnly) {
  EXPECT_TRUE(
      CheckUpdate("thing { main_part { note: 'n' } } update_mask { paths: 'main_part.note' }")
          .ok());
  EXPECT_THAT(Fields(CheckUpdate(
                  "thing { main_part { note: 'n' } } update_mask { paths: 'main_part.code' }")),
              ElementsAre("thing.main_part.code"));
  EXPECT_THAT(
      Fields(CheckUpdate("thing { main_part { note: 'n' } } update_mask { paths: 'main_part' }")),
      ElementsAre("thing.main_part.code"));
}

TEST(FormatsTest, EachFormatAcceptsAndRefuses) {
  using options::v1::FieldRule;
  struct Case {
    FieldRule::Format format;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  const std::vector<Case> cases = {
      {FieldRule::FORMAT_EMAIL,
       {"ada@example.com", "a.b+c@sub.example.org", "j\xc3\xb6rg@m\xc3\xbcller.example"},
       {"", "ada", "@example.com", "ada@", "a b@example.com", "ada@example", "ada@.example.com",
        ".ada@example.com", "ada@ex..com", "ada@example.com\n", "a\"@example.com",
        std::string(65, 'a') + "@example.com", "a@" + std::string(64, 'b') + ".com",
        "ada@-example.com"}},
      {FieldRule::FORMAT_E164,
       {"+4930123456", "+12025550123"},
       {"4930123456", "+0301234567", "+49", "+49 30 123456", "+1234567890123456"}},
      {FieldRule::FORMAT_BCP47,
       {"de", "de-CH", "zh-Hant-TW", "sr-Latn", "es-419", "de-1996", "en-x-own"},
       {"", "d", "german lang", "de_CH", "de-", "-de"}},
      {FieldRule::FORMAT_IANA_TZ,
       {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia"},
       {"", "Mars/Olympus", "europe/berlin", "../etc/passwd", "/etc/localtime", "file:x",
        "Europe"}},
      {FieldRule::FORMAT_ISO4217, {"EUR", "JPY"}, {"eur", "EU", "EURO", "ZZZ", "UR ", "R A"}},
      {FieldRule::FORMAT_URL,
       {"https://example.com", "http://localhost:8080/a?b=c#d", "https://[::1]/x"},
       {"", "example.com", "ftp://example.com", "https://", "https://a b", "javascript:alert(1)",
        "https://user@example.com"}},
      {FieldRule::FORMAT_UUID,
       {"0193a5a0-0000-7000-8000-000000000001"},
       {"0193a5a0", "0193a5a0-0000-7000-8000-00000000000g"}},
      {FieldRule::FORMAT_RESOURCE_ID,
       {"a", "gold-tier_2"},
       {"", "A", "2x", "x-", std::string(64, 'a')}},
  };
  for (const Case& c : cases) {
    for (const auto& text : c.good) EXPECT_EQ(FormatProblem(c.format, text), nullptr) << text;
    for (const auto& text : c.bad) EXPECT_NE(FormatProblem(c.format, text), nullptr) << text;
  }
}

absl::StatusOr<std::vector<std::string>> Paths(const std::string& mask_text,
                                               const std::string& thing_text = "") {
  pb::FieldMask mask;
  EXPECT_TRUE(pb::TextFormat::ParseFromString(mask_text, &mask));
  return UpdatePaths("update_mask", mask, *Messages::Get().New("Thing", thing_text));
}

TEST(FieldMaskTest, AnAbsentMaskMeansWhatIsPopulated) {
  const auto paths = Paths("", "name: 'n' title: 't' tags: 'a' stamp: 's' birth: 'b'");
  ASSERT_TRUE(paths.ok());
  EXPECT_THAT(*paths, ElementsAre("title", "tags"));
}

TEST(FieldMaskTest, AStarMeansEverythingCallersMaySet) {
  const auto paths = Paths("paths: '*'");
  ASSERT_TRUE(paths.ok());
  EXPECT_THAT(*paths, testing::Contains("email"));
  EXPECT_THAT(*paths, testing::Not(testing::Contains("stamp")));
  EXPECT_THAT(*paths, testing::Not(testing::Contains("birth")));
  EXPECT_THAT(*paths, testing::Not(testing::Contains("name")));
}

TEST(FieldMaskTest, EveryBadPathIsNamed) {
  const auto paths = Paths(
      "paths: 'nope' paths: 'stamp' paths: 'birth' paths: 'parts.code' paths: 'title.x' "
      "paths: 'texts.' paths: 'title' paths: 'texts.color' paths: 'name' paths: 'main_part.note'");
  EXPECT_EQ(error::FieldViolations(paths.status()).size(), 6u) << paths.status();
  EXPECT_THAT(std::string(paths.status().message()), HasSubstr("\"nope\" does not exist"));
  EXPECT_THAT(std::string(paths.status().message()), HasSubstr("\"stamp\" cannot be changed"));
}

TEST(FieldMaskTest, FieldsOutsideTheMaskNeverChange) {
  const auto source =
      Messages::Get().New("Thing",
                          "title: 'new' email: 'new' main_part { code: 'new' note: 'new' } "
                          "texts { key: 'a' value: 'new' } texts { key: 'b' value: 'new' }");
  const std::string before =
      "title: 'old' email: 'old' size: 4 tags: 'old' main_part { code: 'old' note: 'old' } "
      "texts { key: 'a' value: 'old' } texts { key: 'c' value: 'old' }";
  const auto apply = [&](const std::vector<std::string>& paths) {
    auto target = Messages::Get().New("Thing", before);
    ApplyMask(paths, *source, *target);
    return target;
  };
  const auto same = [](const pb::Message& a, const std::string& text) {
    const auto b = Messages::Get().New("Thing", text);
    std::string x, y;
    pb::TextFormat::PrintToString(a, &x);
    pb::TextFormat::PrintToString(*b, &y);
    return x == y;
  };
  EXPECT_TRUE(same(*apply({}), before));
  EXPECT_TRUE(same(*apply({"title", "size", "tags"}),
                   "title: 'new' email: 'old' main_part { code: 'old' note: 'old' } "
                   "texts { key: 'a' value: 'old' } texts { key: 'c' value: 'old' }"));
  EXPECT_TRUE(same(*apply({"main_part.note", "texts.a", "texts.b", "texts.c"}),
                   "title: 'old' email: 'old' size: 4 tags: 'old' "
                   "main_part { code: 'old' note: 'new' } "
                   "texts { key: 'a' value: 'new' } texts { key: 'b' value: 'new' }"));
}

TEST(FieldMaskTest, APathContainsWhatLiesBelowIt) {
  EXPECT_TRUE(MaskContains({"main_part"}, "main_part.note"));
  EXPECT_TRUE(MaskContains({"main_part"}, "main_part"));
  EXPECT_FALSE(MaskContains({"main_part.note"}, "main_part"));
  EXPECT_FALSE(MaskContains({"main"}, "main_part"));
}

TEST(FingerprintTest, TheRequestIdDoesNotCountAndEverythingElseDoes) {
  const auto print = [](const std::string& text, const char* method = "/t.Things/Good") {
    return Fingerprint(*Messages::Get().New("UpdateThingRequest", text), method);
  };
  const std::string base = print("thing { title: 'a' } request_id: '1'");
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(print("thing { title: 'a' } request_id: '2'"), base);
  EXPECT_NE(print("thing { title: 'b' } request_id: '1'"), base);
  EXPECT_NE(print("thing { title: 'a' } request_id: '1'", "/t.Things/Other"), base);
}

TEST(FingerprintTest, TheOrderOfAMapAndUnknownFieldsDoNotCount) {
  const auto print = [](const pb::Message& message) { return Fingerprint(message, "m"); };
  const auto one =
      Messages::Get().New("Thing", "texts { key: 'a' value: '1' } texts { key: 'b' value: '2' }");
  const auto two =
      Messages::Get().New("Thing", "texts { key: 'b' value: '2' } texts { key: 'a' value: '1' }");
  EXPECT_EQ(print(*one), print(*two));
  two->GetReflection()->MutableUnknownFields(two.get())->AddVarint(99, 1);
  EXPECT_EQ(print(*one), print(*two));
}

// A recorded fingerprint must be found again by every later version of the program.
TEST(FingerprintTest, TheFormatIsWrittenDown) {
  const auto request = Messages::Get().New("UpdateThingRequest", "thing { title: 'a' }");
  std::string hex;
  for (const char c : Fingerprint(*request, "/t.Things/Good")) {
    hex.push_back("0123456789abcdef"[static_cast<unsigned char>(c) >> 4]);
    hex.push_back("0123456789abcdef"[static_cast<unsigned char>(c) & 15]);
  }
  // printf '\x01/t.Things/Good\x00\x0a\x03\x12\x01a' | sha256sum
  EXPECT_EQ(hex, "fdba58c8819e8f6ae917f8af64e12407a36424f37fe5ef3e988464f09cbc5bb6");
}

TEST(MethodTest, AMethodWithoutASoundPolicyIsRefusedByName) {
  obs::Metrics metrics;
  const auto* service = Messages::Get().file()->FindServiceByName("Things");
  const auto message = [&](const char* method) {
    return std::string(
        ResolveMethod(service->FindMethodByName(method), metrics).status().message());
  };
  EXPECT_THAT(message("NoPolicy"), HasSubstr("t.Things.NoPolicy: has no (clm.options.v1.policy)"));
  EXPECT_THAT(message("NoScope"), HasSubstr("no scope"));
  EXPECT_THAT(message("NoTenant"), HasSubstr("no tenant_field"));
  EXPECT_THAT(message("BadTenant"), HasSubstr("thing.nope"));
  EXPECT_THAT(message("RepeatedTenant"), HasSubstr("tags"));
  EXPECT_THAT(message("NoRequestId"), HasSubstr("no request_id"));
  EXPECT_EQ(message("Good"), "");
  EXPECT_EQ(message("Suite"), "");
}

TEST(MethodTest, TheTenantIsReadFromTheNestedName) {
  obs::Metrics metrics;
  const auto* service = Messages::Get().file()->FindServiceByName("Things");
  const auto method = ResolveMethod(service->FindMethodByName("Good"), metrics);
  ASSERT_TRUE(method.ok());
  const auto tenant = [&](const std::string& text) {
    return TenantOf(*method, *Messages::Get().New("UpdateThingRequest", text));
  };
  EXPECT_EQ(*tenant("thing { name: 'tenants/acme/things/1' }"), "acme");
  EXPECT_THAT(Fields(tenant("").status()), ElementsAre("thing.name"));
  EXPECT_THAT(Fields(tenant("thing { name: 'tenants/A!/things/1' }").status()),
              ElementsAre("thing.name"));
}

}  // namespace
}  // namespace clm::rpc
