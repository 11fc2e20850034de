#include "services/contact/duplicates.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace clm::contact {
namespace {

constexpr int kExactScore = 100;
constexpr int kSimilarMailScore = 80;
constexpr int kMoreReasons = 5;  // Added for every further soft reason.
constexpr int kBestSoftScore = 99;
// Below this similarity two names of one postcode are neighbours, not one person.
constexpr double kLeastNameSimilarity = 0.88;

// The code points of well-formed UTF-8; a stray byte stands for itself.
std::u32string CodePoints(absl::string_view text) {
  std::u32string points;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t point = length == 1 ? lead : lead & (0xFF >> (length + 1));
    for (size_t k = 1; k < length && i + k < text.size(); ++k) {
      point = (point << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    }
    points.push_back(point);
    i += length;
  }
  return points;
}

// The letters U+00C0 to U+017F without their marks, separated by blanks; '-' for what is no letter.
constexpr absl::string_view kLatin =
    "a a a a a a ae c e e e e i i i i d n o o o o o - o u u u u y th ss "
    "a a a a a a ae c e e e e i i i i d n o o o o o - o u u u u y th y "
    "a a a a a a c c c c c c c c d d d d e e e e e e e e e e g g g g g g g g h h h h "
    "i i i i i i i i i i ij ij j j k k k l l l l l l l l l l n n n n n n n n n "
    "o o o o o o oe oe r r r r r r s s s s s s s s t t t t t t "
    "u u u u u u u u u u u u w w y y y z z z z z z s";

const std::vector<absl::string_view>& LatinLetters() {
  static const auto* const kLetters =
      new std::vector<absl::string_view>(absl::StrSplit(kLatin, ' '));
  return *kLetters;
}

void AppendUtf8(char32_t point, std::string& text) {
  if (point < 0x80) {
    text += static_cast<char>(point);
  } else if (point < 0x800) {
    text += static_cast<char>(0xC0 | (point >> 6));
    text += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    text += static_cast<char>(0xE0 | (point >> 12));
    text += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    text += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | (point >> 18));
    text += static_cast<char>(0x80 | ((point >> 12) & 0x3F));
    text += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    text += static_cast<char>(0x80 | (point & 0x3F));
  }
}

std::string FoldPostalCode(absl::string_view code) {
  std::string folded;
  for (char c : code) {
    if (absl::ascii_isalnum(c)) folded += absl::ascii_tolower(c);
  }
  return folded;
}

// An address without dots and "+tag" before the @: what some providers ignore.
std::string LooseMail(absl::string_view email) {
  const size_t at = email.rfind('@');
  if (at == absl::string_view::npos) return std::string(email);
  std::string local(email.substr(0, std::min(at, email.find('+'))));
  local.erase(std::remove(local.begin(), local.end(), '.'), local.end());
  return absl::StrCat(local, email.substr(at));
}

std::string ReasonOf(const std::string& type) {
  if (type == kEmailType || type == kPhoneType) return type;
  return absl::StrCat("external id ", type);
}

// What is compared of a subject, computed once.
struct Prepared {
  const DuplicateSubject* subject;
  std::set<Identifier> identifiers;
  std::set<std::string> loose_mails;
  std::string given;
  std::string family;
  std::string postal;
};

Prepared Prepare(const DuplicateSubject& subject) {
  Prepared p;
  p.subject = &subject;
  p.identifiers.insert(subject.identifiers.begin(), subject.identifiers.end());
  for (const Identifier& i : subject.identifiers) {
    if (i.type == kEmailType) p.loose_mails.insert(LooseMail(i.value));
  }
  p.given = FoldName(subject.given_name);
  p.family = FoldName(subject.family_name);
  p.postal = FoldPostalCode(subject.postal_code);
  return p;
}

bool UserIdsDisagree(const Prepared& a, const Prepared& b) {
  bool both = false;
  for (const Identifier& i : a.identifiers) {
    if (i.type != kUserIdType) continue;
    if (b.identifiers.contains(i)) return false;
    both = both || std::any_of(b.identifiers.begin(), b.identifiers.end(),
                               [](const Identifier& j) { return j.type == kUserIdType; });
  }
  return both;
}

// 0 when the two names or postcodes do not make them one person.
int NameScore(const Prepared& a, const Prepared& b) {
  if (a.postal.empty() || a.postal != b.postal) return 0;
  if (a.family.empty() || b.family.empty() || a.given.empty() || b.given.empty()) return 0;
  const std::string name = absl::StrCat(a.given, " ", a.family);
  // People and forms swap the two.
  const double similarity = std::max(JaroWinkler(name, absl::StrCat(b.given, " ", b.family)),
                                     JaroWinkler(name, absl::StrCat(b.family, " ", b.given)));
  if (similarity < kLeastNameSimilarity) return 0;
  const double share = (similarity - kLeastNameSimilarity) / (1 - kLeastNameSimilarity);
  return kLeastScore + static_cast<int>(std::lround(25 * share));
}

std::optional<DuplicatePair> Compare(const Prepared& a, const Prepared& b) {
  DuplicatePair pair;
  std::set<std::string> exact;
  for (const Identifier& i : a.identifiers) {
    if (b.identifiers.contains(i)) exact.insert(ReasonOf(i.type));
  }
  pair.reasons.assign(exact.begin(), exact.end());
  // Two different accounts of one system are two people unless an exact key says otherwise.
  if (exact.empty() && UserIdsDisagree(a, b)) return std::nullopt;

  std::vector<std::pair<int, const char*>> soft;
  if (!exact.contains(kEmailType) &&
      std::any_of(a.loose_mails.begin(), a.loose_mails.end(),
                  [&](const std::string& mail) { return b.loose_mails.contains(mail); })) {
    soft.emplace_back(kSimilarMailScore, "similar email");
  }
  if (const int score = NameScore(a, b); score > 0) soft.emplace_back(score, "name and postcode");
  std::sort(soft.begin(), soft.end(), std::greater<>());
  for (const auto& [score, reason] : soft) pair.reasons.push_back(reason);
  if (pair.reasons.empty()) return std::nullopt;

  const int more = kMoreReasons * (static_cast<int>(soft.size()) - 1);
  pair.score = exact.empty() ? std::min(kBestSoftScore, soft[0].first + more) : kExactScore;
  const auto age = [](const DuplicateSubject& s) { return std::tie(s.create_time, s.id); };
  const bool a_older = age(*a.subject) < age(*b.subject);
  pair.older = (a_older ? a : b).subject->id;
  pair.younger = (a_older ? b : a).subject->id;
  return pair;
}

}  // namespace

DuplicateSubject SubjectOf(const Contact& contact, std::vector<Identifier> identifiers) {
  DuplicateSubject subject{contact.key.id,     contact.create_time, std::move(identifiers),
                           contact.given_name, contact.family_name, ""};
  const auto postal = contact.attributes.find(kPostalCodeAttribute);
  if (postal != contact.attributes.end()) subject.postal_code = FormatValue(postal->second);
  return subject;
}

std::vector<std::string> BlockKeys(const DuplicateSubject& subject) {
  std::set<std::string> keys;
  const Prepared p = Prepare(subject);
  for (const Identifier& i : p.identifiers) {
    // Equal addresses have equal loose forms, too.
    if (i.type != kEmailType) keys.insert(absl::StrCat("=", i.type, ":", i.value));
  }
  for (const std::string& mail : p.loose_mails) keys.insert(absl::StrCat("~mail:", mail));
  if (!p.postal.empty()) {
    for (const std::string& name : {p.given, p.family}) {
      if (name.empty()) continue;
      std::string initial;
      AppendUtf8(CodePoints(name)[0], initial);
      keys.insert(absl::StrCat("~name:", p.postal, ":", initial));
    }
  }
  return {keys.begin(), keys.end()};
}

std::vector<DuplicatePair> FindDuplicates(const DuplicateSubject& subject,
                                          const std::vector<const DuplicateSubject*>& others) {
  const Prepared prepared = Prepare(subject);
  std::vector<DuplicatePair> pairs;
  for (const DuplicateSubject* other : others) {
    if (other->id == subject.id) continue;
    if (auto pair = Compare(prepared, Prepare(*other))) pairs.push_back(*std::move(pair));
  }
  std::sort(pairs.begin(), pairs.end(), [](const DuplicatePair& a, const DuplicatePair& b) {
    return std::tie(b.score, a.older, a.younger) < std::tie(a.score, b.older, b.younger);
  });
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

double JaroWinkler(absl::string_view left, absl::string_view right) {
  const std::u32string a = CodePoints(left);
  const std::u32string b = CodePoints(right);
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1 : 0;
  const size_t longest = std::max(a.size(), b.size());
  const size_t window = longest / 2 > 0 ? longest / 2 - 1 : 0;
  std::vector<bool> a_matched(a.size());
  std::vector<bool> b_matched(b.size());
  double matches = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t from = i > window ? i - window : 0;
    const size_t to = std::min(b.size(), i + window + 1);
    for (size_t k = from; k < to; ++k) {
      if (b_matched[k] || a[i] != b[k]) continue;
      a_matched[i] = b_matched[k] = true;
      ++matches;
      break;
    }
  }
  if (matches == 0) return 0;
  double out_of_order = 0;
  for (size_t i = 0, k = 0; i < a.size(); ++i) {
    if (!a_matched[i]) continue;
    while (!b_matched[k]) ++k;
    if (a[i] != b[k++]) ++out_of_order;
  }
  const double jaro =
      (matches / static_cast<double>(a.size()) + matches / static_cast<double>(b.size()) +
       (matches - out_of_order / 2) / matches) /
      3;
  size_t prefix = 0;
  while (prefix < 4 && prefix < a.size() && prefix < b.size() && a[prefix] == b[prefix]) ++prefix;
  return jaro + 0.1 * static_cast<double>(prefix) * (1 - jaro);
}

std::string FoldName(absl::string_view name) {
  std::string folded;
  bool gap = false;
  const auto append = [&](auto add) {
    if (gap && !folded.empty()) folded += ' ';
    gap = false;
    add();
  };
  for (const char32_t point : CodePoints(name)) {
    if (point < 0x80) {
      const char c = static_cast<char>(point);
      if (absl::ascii_isalnum(c)) {
        append([&] { folded += absl::ascii_tolower(c); });
      } else if (c != '\'' && c != '.') {
        gap = true;
      }
    } else if (point >= 0xC0 && point <= 0x17F) {
      const absl::string_view letters = LatinLetters()[point - 0xC0];
      if (letters != "-") append([&] { absl::StrAppend(&folded, letters); });
    } else if (point == 0x2019 || (point >= 0x300 && point <= 0x36F)) {
      // A typographic apostrophe, or a mark that combines with the letter before it.
    } else if (point == 0xA0 || (point >= 0x2000 && point <= 0x206F)) {
      gap = true;
    } else {
      // Greek and Cyrillic capitals lie 32 before their small letters.
      const bool capital = (point >= 0x391 && point <= 0x3A9) || (point >= 0x410 && point <= 0x42F);
      append([&] { AppendUtf8(capital ? point + 0x20 : point, folded); });
    }
  }
  return folded;
}

}  // namespace clm::contact
