#include "services/feedback/case_states.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "libs/base/error.h"

namespace clm::feedback {
namespace {

constexpr int kStates = 9;
constexpr int kVerbs = 9;

// As people are told it: each state with its verbs and where they lead.
const std::map<std::string, std::map<std::string, std::string>>& Told() {
  static const auto& kTold = *new std::map<std::string, std::map<std::string, std::string>>{
      {"RECEIVED",
       {{"acknowledge", "ACKNOWLEDGED"}, {"escalate", "ESCALATED"}, {"withdraw", "WITHDRAWN"}}},
      {"ACKNOWLEDGED",
       {{"investigate", "INVESTIGATING"}, {"escalate", "ESCALATED"}, {"withdraw", "WITHDRAWN"}}},
      {"INVESTIGATING",
       {{"awaitCustomer", "AWAITING_CUSTOMER"},
        {"resolve", "RESOLVED"},
        {"escalate", "ESCALATED"},
        {"withdraw", "WITHDRAWN"}}},
      {"AWAITING_CUSTOMER",
       {{"resume", "INVESTIGATING"},
        {"resolve", "RESOLVED"},
        {"escalate", "ESCALATED"},
        {"withdraw", "WITHDRAWN"}}},
      {"RESOLVED", {{"close", "CLOSED"}, {"reopen", "REOPENED"}}},
      {"CLOSED", {{"reopen", "REOPENED"}}},
      {"REOPENED",
       {{"investigate", "INVESTIGATING"}, {"escalate", "ESCALATED"}, {"withdraw", "WITHDRAWN"}}},
      {"ESCALATED",
       {{"acknowledge", "ESCALATED"},
        {"investigate", "INVESTIGATING"},
        {"resolve", "RESOLVED"},
        {"escalate", "ESCALATED"},
        {"withdraw", "WITHDRAWN"}}},
      {"WITHDRAWN", {}},
  };
  return kTold;
}

TEST(CaseStatesTest, EveryVerbInEveryStateOfEveryTypeIsAsTold) {
  for (int t = 1; t <= 4; ++t) {
    const auto type = static_cast<CaseType>(t);
    for (int s = 1; s <= kStates; ++s) {
      const auto from = static_cast<CaseState>(s);
      auto verbs = Told().at(std::string(Name(from)));
      if (type == CaseType::kInquiry && from == CaseState::kAcknowledged) {
        verbs["resolve"] = "RESOLVED";
      }
      for (int v = 0; v < kVerbs; ++v) {
        const auto verb = static_cast<CaseVerb>(v);
        const auto to = MoveCase(type, from, verb);
        const auto told = verbs.find(std::string(Name(verb)));
        SCOPED_TRACE(std::string(Name(from)) + " " + std::string(Name(verb)));
        ASSERT_EQ(to.ok(), told != verbs.end());
        if (to.ok()) {
          EXPECT_EQ(std::string(Name(*to)), told->second);
        } else {
          EXPECT_EQ(error::Reason(to.status()), "CASE_STATE");
          EXPECT_EQ(error::MetadataValue(to.status(), "state"), std::string(Name(from)));
          EXPECT_EQ(error::MetadataValue(to.status(), "allowed"), VerbsFrom(type, from));
        }
      }
    }
  }
}

TEST(CaseStatesTest, NamesAreDistinct) {
  std::set<std::string> names;
  for (int s = 1; s <= kStates; ++s) names.emplace(Name(static_cast<CaseState>(s)));
  EXPECT_EQ(names.size(), kStates);
  names.clear();
  for (int v = 0; v < kVerbs; ++v) names.emplace(Name(static_cast<CaseVerb>(v)));
  EXPECT_EQ(names.size(), kVerbs);
}

TEST(CaseStatesTest, AnOpenCaseCanAlwaysEndAndAnEndedOneIsNotOpen) {
  for (int s = 1; s <= kStates; ++s) {
    const auto state = static_cast<CaseState>(s);
    EXPECT_EQ(IsOpen(state), MoveCase(CaseType::kComplaint, state, CaseVerb::kWithdraw).ok());
  }
}

}  // namespace
}  // namespace clm::feedback
