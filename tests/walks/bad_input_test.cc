// Whatever rule of whatever field of whatever RPC a request breaks: INVALID_ARGUMENT that names the
// field, and nothing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "libs/base/error.h"
#include "tests/walks/live_suite.h"
#include "tests/walks/samples.h"

namespace clm::walks {
namespace {

namespace pb = google::protobuf;
using ::testing::IsEmpty;

std::string NameOf(const std::string& pattern) {
  return absl::StrReplaceAll(
      pattern, {{"tenants/*", "tenants/acme"}, {"*", "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a"}});
}

// One suite for all tests: none of them may change anything.
class BadInputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_ = new LiveSuite;
    token_ = new std::string(suite_->AddTenant("acme"));
    heads_ = new std::string(suite_->Heads());
  }
  static void TearDownTestSuite() {
    delete suite_;
    delete token_;
    delete heads_;
  }

  void TearDown() override {
    EXPECT_EQ(suite_->Heads(), *heads_) << "something was changed";
    EXPECT_THAT(complaints_, IsEmpty());
  }

  // Sends what is to be refused for these fields, and notes it when it is not.
  void ExpectRefused(Method method, const std::string& request, const std::set<std::string>& paths,
                     const std::string& what) {
    const Outcome outcome = Send(method, request);
    std::set<std::string> missing = paths;
    for (const auto& [field, _] : error::FieldViolations(outcome.status)) missing.erase(field);
    if (outcome.status.code() == absl::StatusCode::kInvalidArgument && missing.empty()) return;
    Complain(method, absl::StrCat(what, " of ", absl::StrJoin(missing, ", ")), outcome);
  }

  static Outcome Send(Method method, const std::string& request) {
    return suite_->Call(method, {request}, IsForTenants(method) ? *token_ : "");
  }

  void Complain(Method method, const std::string& what, const Outcome& outcome) {
    complaints_.push_back(absl::StrCat(
        method->full_name(), ": ", what, ": ", outcome.status.ok() ? "OK" : "",
        absl::StatusCodeToString(outcome.status.code()), " ", outcome.status.message()));
  }

  const Samples samples_{NameOf};
  std::vector<std::string> complaints_;

  static LiveSuite* suite_;
  static std::string* token_;
  static std::string* heads_;
};

LiveSuite* BadInputTest::suite_ = nullptr;
std::string* BadInputTest::token_ = nullptr;
std::string* BadInputTest::heads_ = nullptr;

TEST_F(BadInputTest, EachFaultIsRefusedByTheNameOfItsField) {
  int faults = 0;
  for (const Method method : AllMethods()) {
    for (const Way& way : WaysInto(method->input_type())) {
      for (const Fault& fault : FaultsOf(samples_, way)) {
        const auto request = samples_.Request(method);
        fault.plant(*request);
        ExpectRefused(method, request->SerializeAsString(), {fault.path}, fault.what);
        ++faults;
      }
    }
  }
  EXPECT_GT(faults, 1000);
}

// Of a oneof only one member can be there: whether the way may be taken beside those before it.
bool Chooses(const Way& way, std::map<std::string, int>& chosen) {
  std::map<std::string, int> choices;
  for (size_t i = 0; i < way.size(); ++i) {
    const auto* oneof = way[i]->real_containing_oneof();
    if (oneof == nullptr) continue;
    const std::string key =
        absl::StrCat(PathOf({way.begin(), way.begin() + i}), ".", oneof->name());
    const auto before = chosen.find(key);
    if (before != chosen.end() && before->second != way[i]->number()) return false;
    choices[key] = way[i]->number();
  }
  chosen.merge(choices);
  return true;
}

TEST_F(BadInputTest, AllThatIsWrongIsNamedAtOnce) {
  size_t named = 0;
  for (const Method method : AllMethods()) {
    std::set<std::string> before, planted;
    // As many at a time as an answer shows.
    for (;;) {
      planted.clear();
      const auto request = samples_.Request(method);
      std::map<std::string, int> chosen;
      for (const Way& way : WaysInto(method->input_type())) {
        const std::vector<Fault> faults = FaultsOf(samples_, way);
        const auto fault =
            std::find_if(faults.begin(), faults.end(), [](const Fault& one) { return one.alone; });
        if (fault == faults.end() || planted.size() == error::FieldErrors::kMostShown) continue;
        if (before.contains(fault->path) || !Chooses(way, chosen)) continue;
        fault->plant(*request);
        planted.insert(fault->path);
        before.insert(fault->path);
      }
      if (planted.empty()) break;
      ExpectRefused(method, request->SerializeAsString(), planted, "all at once");
      named += planted.size();
    }
  }
  EXPECT_GT(named, 300u);
}

TEST_F(BadInputTest, WhatIsNoMessageOfTheTypeIsRefused) {
  for (const Method method : AllMethods()) {
    for (const std::string& garbage : {std::string("\xff\xff\xff\xff"), std::string("\x0a\x7f"),
                                       std::string(64, '\0'), std::string(100, '\x0b')}) {
      const Outcome outcome = Send(method, garbage);
      if (outcome.status.code() != absl::StatusCode::kInvalidArgument) {
        Complain(method, "garbage", outcome);
      }
    }
  }
}

TEST_F(BadInputTest, TextThatIsNotUtf8IsRefused) {
  const std::string mark = "text-to-be-spoiled";
  for (const Method method : AllMethods()) {
    for (const Way& way : WaysInto(method->input_type())) {
      const pb::FieldDescriptor* field = way.back();
      if (field->is_map() || field->type() != pb::FieldDescriptor::TYPE_STRING) continue;
      const auto request = samples_.Request(method);
      SetText(samples_.Holder(*request, way), field, mark);
      std::string bytes = request->SerializeAsString();
      const size_t at = bytes.find(mark);
      ASSERT_NE(at, std::string::npos) << PathOf(way);
      bytes[at + 1] = '\xff';
      const Outcome outcome = Send(method, bytes);
      if (outcome.status.code() != absl::StatusCode::kInvalidArgument) {
        Complain(method, absl::StrCat("no UTF-8 in ", PathOf(way)), outcome);
      }
    }
  }
}

}  // namespace
}  // namespace clm::walks
