// An answer that was given or corrected, for parts of the service that act on it in the same
// transaction (WorkPart::OnAnswer).
#ifndef CLM_SERVICES_FEEDBACK_ANSWER_FACT_H_
#define CLM_SERVICES_FEEDBACK_ANSWER_FACT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/uuid.h"

namespace clm::feedback {

// One answered question whose answer is a number on a scale.
struct ScoredAnswer {
  enum class Kind { kNps, kCsat, kCes, kRating };
  std::string question;
  Kind kind = Kind::kNps;
  int min = 0, max = 10;   // The ends of the scale.
  int satisfied_from = 0;  // CSAT: the least value that counts as satisfied.
  int value = 0;
};

struct AnswerFact {
  std::string tenant;
  std::string survey;
  bool relational = false;  // The survey is about the relationship; else about a transaction.
  // The invitation, whose answer has the same id. Its shard is locked: that of the contact, unless
  // the contact has been merged since it was invited.
  Uuid invitation;
  int shard = 0;
  std::optional<Uuid> contact;  // None: erased.
  // As of the invitation; empty where it did not say.
  std::string channel, campaign, order, agent, subject;
  std::vector<ScoredAnswer> scores;
  absl::Time submit_time;  // Of the first submission.
  bool corrected = false;  // Not the first submission.
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_ANSWER_FACT_H_
