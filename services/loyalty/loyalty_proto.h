// Between the wire and the rules: names, programmes, postings, balances.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_PROTO_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/loyalty/v1/loyalty.pb.h"
#include "libs/base/error.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/program.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

inline constexpr char kContacts[] = "contacts";

// INVALID_ARGUMENT naming `field` for anything that is not such a name.
absl::StatusOr<ProgramKey> ParseProgramName(absl::string_view field, absl::string_view name);
absl::StatusOr<MemberKey> ParseMemberName(absl::string_view field, absl::string_view name);
absl::StatusOr<PostingKey> ParsePostingName(absl::string_view field, absl::string_view name);
struct HoldName {
  MemberKey member;
  Uuid hold;
};
absl::StatusOr<HoldName> ParseHoldName(absl::string_view field, absl::string_view name);

std::string NameOf(const ProgramKey& key);
std::string NameOf(const MemberKey& key);
std::string NameOf(const PostingKey& key);
std::string NameOf(const HoldName& name);
std::string NameOf(const OrderKey& key);

// Adds what cannot be read to `errors`, with paths as "program.wallets[0].expiry". The name is the
// caller's concern.
Program FromProto(const v1::Program& program, error::FieldErrors& errors);
v1::Program ToProto(const Program& program);

// What is stored of a programme, and read from the columns tenant_id, id, body, create_time,
// update_time, version, the first of them at `column`.
std::string BodyOf(const Program& program);
absl::StatusOr<Program> ReadProgram(const pg::Row& row, int column = 0);

v1::Posting ToProto(const StoredPosting& posting);

// Of a settled wallet. `next_expire` is the lot that expires first, if one does.
v1::Balance ToProto(absl::string_view wallet, const Totals& totals);

v1::Hold ToProto(const MemberKey& member, const Hold& hold, const LoyaltyWork::HoldPlace& place);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_PROTO_H_
