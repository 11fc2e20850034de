#include "tools/clm/loyalty_identifiers.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "libs/base/error.h"

namespace clm::cli {

using loyalty::v1::ReferralIdentifier;

absl::Status AddIdentifiers(const std::vector<std::string>& texts,
                            google::protobuf::RepeatedPtrField<ReferralIdentifier>* identifiers) {
  const std::vector<std::pair<absl::string_view, ReferralIdentifier::Kind>> kinds = {
      {"email", ReferralIdentifier::KIND_EMAIL},
      {"phone", ReferralIdentifier::KIND_PHONE},
      {"device", ReferralIdentifier::KIND_DEVICE},
      {"card", ReferralIdentifier::KIND_CARD}};
  for (const std::string& text : texts) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    ReferralIdentifier* identifier = identifiers->Add();
    for (const auto& [word, kind] : kinds) {
      if (parts.first == word) identifier->set_kind(kind);
    }
    identifier->set_value(parts.second);
    if (identifier->kind() == ReferralIdentifier::KIND_UNSPECIFIED || parts.second.empty()) {
      return error::InvalidField("--identifier",
                                 "must be email=, phone=, device= or card= and a value");
    }
  }
  return absl::OkStatus();
}

}  // namespace clm::cli
