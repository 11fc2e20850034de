// Finding records that may be the same person: exact keys, and soft keys with a score. A contact is
// compared with those that share a block key with it, which gives candidate pairs; nothing is ever
// merged by itself. Pure.
#ifndef CLM_SERVICES_CONTACT_DUPLICATES_H_
#define CLM_SERVICES_CONTACT_DUPLICATES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/contact/contact.h"
#include "services/contact/identifiers.h"

namespace clm::contact {

// The attribute that is read as postcode.
inline constexpr char kPostalCodeAttribute[] = "postal_code";
// Pairs below this score are not told.
inline constexpr int kLeastScore = 70;
// Of what this file decides. To be raised with every change of it: all contacts are then compared
// anew.
inline constexpr int kDuplicateRules = 1;

// What the scan reads of a contact.
struct DuplicateSubject {
  Uuid id;
  absl::Time create_time;
  // All identifiers, also former and secondary ones, which the contact record itself lacks.
  std::vector<Identifier> identifiers;
  std::string given_name;
  std::string family_name;
  std::string postal_code;
};
DuplicateSubject SubjectOf(const Contact& contact, std::vector<Identifier> identifiers);

// Texts that are equal for contacts which deserve a comparison: one per phone number and external
// id, one for e-mail addresses that are equal or differ by provider tricks only, one for the
// postcode with the beginning of each name. A contact belongs to the block of each of its keys.
std::vector<std::string> BlockKeys(const DuplicateSubject& subject);

struct DuplicatePair {
  Uuid older;
  Uuid younger;
  int score = 0;                     // kLeastScore to 100; 100 for an exact key.
  std::vector<std::string> reasons;  // "email", "phone", "name and postcode", strongest first.
  friend bool operator==(const DuplicatePair&, const DuplicatePair&) = default;
};

// The candidate pairs of `subject` with `others`, best first, each once; itself is not among the
// others that count.
std::vector<DuplicatePair> FindDuplicates(const DuplicateSubject& subject,
                                          const std::vector<const DuplicateSubject*>& others);

// Jaro-Winkler similarity of two texts by code point, 0 to 1, prefix scale 0.1 and at most four
// code points of prefix. Two empty texts are equal.
double JaroWinkler(absl::string_view a, absl::string_view b);

// A name as it is compared: lower case, accents of Latin letters and everything but letters and
// digits dropped ("Dr. José  O'Hara" -> "dr jose ohara").
std::string FoldName(absl::string_view name);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_DUPLICATES_H_
