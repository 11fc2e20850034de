// Conventions of the contracts that a server does not check when it starts.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "clm/options/v1/options.pb.h"

namespace clm {
namespace {

namespace pb = google::protobuf;
using ::testing::IsEmpty;

// Methods that keep a rule in another way, or need not keep it, and why.
using Exceptions = std::map<std::string, std::string>;

const Exceptions& ListsWithoutPages() {
  static const auto* const kLists = new Exceptions{
      {"clm.lifecycle.v1.InsightsService.ListReadyKpis",
       "no resources but proposals for one model, whose stages are at most 64"},
  };
  return *kLists;
}

const Exceptions& MutationsWithoutRequestId() {
  static const auto* const kMutations = new Exceptions{
      {"clm.contact.v1.ImportService.UploadImport", "it is in the first message of the stream"},
      {"clm.contact.v1.TimelineService.IngestEvents", "each event has an event_id of its own"},
  };
  return *kMutations;
}

// Whether a method only reads, by its name.
bool Reads(const pb::MethodDescriptor& method) {
  static constexpr std::array kVerbs = {"Audit",   "BatchGet", "Check",   "Compare", "DryRun",
                                        "Explain", "Export",   "Fetch",   "Get",     "Introspect",
                                        "List",    "Lookup",   "Recount", "Stream"};
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [&](const char* verb) { return absl::StartsWith(method.name(), verb); });
}

class ContractsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in(CLM_DESCRIPTOR_SET, std::ios::binary);
    pb::FileDescriptorSet set;
    ASSERT_TRUE(in && set.ParseFromIstream(&in)) << CLM_DESCRIPTOR_SET;
    for (const auto& file : set.file()) {
      const pb::FileDescriptor* built = pool_.BuildFile(file);
      ASSERT_NE(built, nullptr) << file.name();
      for (int s = 0; s < built->service_count(); ++s) {
        for (int m = 0; m < built->service(s)->method_count(); ++m) {
          methods_.push_back(built->service(s)->method(m));
        }
      }
    }
    EXPECT_GT(methods_.size(), 50u);
  }

  static bool Has(const pb::Descriptor& message, const std::string& name,
                  pb::FieldDescriptor::Type type) {
    const pb::FieldDescriptor* field = message.FindFieldByName(name);
    return field != nullptr && field->type() == type && !field->is_repeated();
  }
  // What of `found` is not excepted; and that every exception is needed.
  static std::vector<std::string> Unexcepted(const std::set<std::string>& found,
                                             const Exceptions& exceptions) {
    std::vector<std::string> rest;
    for (const auto& name : found) {
      if (!exceptions.contains(name)) rest.push_back(name);
    }
    for (const auto& [name, why] : exceptions) {
      EXPECT_TRUE(found.contains(name)) << name << " needs no exception: " << why;
    }
    return rest;
  }

  pb::DescriptorPool pool_;
  std::vector<const pb::MethodDescriptor*> methods_;
};

TEST_F(ContractsTest, EveryListHasPages) {
  std::set<std::string> without;
  for (const pb::MethodDescriptor* method : methods_) {
    if (!absl::StartsWith(method->name(), "List")) continue;
    const pb::Descriptor& request = *method->input_type();
    const bool paged =
        Has(request, "page_size", pb::FieldDescriptor::TYPE_INT32) &&
        Has(request, "page_token", pb::FieldDescriptor::TYPE_STRING) &&
        Has(*method->output_type(), "next_page_token", pb::FieldDescriptor::TYPE_STRING);
    if (!paged) without.insert(method->full_name());
  }
  EXPECT_THAT(Unexcepted(without, ListsWithoutPages()), IsEmpty());
}

TEST_F(ContractsTest, WhatChangesSomethingTakesARequestId) {
  std::set<std::string> without;
  for (const pb::MethodDescriptor* method : methods_) {
    const auto& policy = method->options().GetExtension(options::v1::policy);
    if (Reads(*method)) {
      EXPECT_FALSE(policy.mutation()) << method->full_name() << " has the name of a reading";
      continue;
    }
    const pb::FieldDescriptor* id = method->input_type()->FindFieldByName("request_id");
    const bool takes = policy.mutation() && id != nullptr &&
                       id->type() == pb::FieldDescriptor::TYPE_STRING &&
                       id->options().GetExtension(options::v1::field).format() ==
                           options::v1::FieldRule::FORMAT_UUID;
    if (!takes) without.insert(method->full_name());
  }
  EXPECT_THAT(Unexcepted(without, MutationsWithoutRequestId()), IsEmpty());
  const pb::Descriptor* start = pool_.FindMessageTypeByName("clm.contact.v1.ImportStart");
  ASSERT_NE(start, nullptr);
  EXPECT_TRUE(Has(*start, "request_id", pb::FieldDescriptor::TYPE_STRING));
}

}  // namespace
}  // namespace clm
