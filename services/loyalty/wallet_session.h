// One member's wallet during a mutation: opened and settled, changed by the rules, posted and
// recorded.
#ifndef CLM_SERVICES_LOYALTY_WALLET_SESSION_H_
#define CLM_SERVICES_LOYALTY_WALLET_SESSION_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/program.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// ABORTED, reason PROGRAM_CHANGED: the programme has changed in this very transaction, and asks for
// what is not loaded.
absl::Status ProgramChanged();

// ABORTED, reason MEMBER_MOVED, with the contact that the member's has become: the caller decides
// again under that one's shard.
absl::Status Moved(const Uuid& to);
// Whether `status` is that, and where to.
std::optional<Uuid> MovedTo(const absl::Status& status);

// Whom the member's contact was merged into, whether or not their points have followed yet.
std::optional<Uuid> MergedInto(const LoyaltyWork& work, const MemberKey& member);

// FAILED_PRECONDITION, reason MEMBER_MERGED, naming who the member of `field` is: for requests that
// cannot follow there, because it is on a shard that is not locked.
absl::Status MemberMerged(absl::string_view field, const MemberKey& member, const Uuid& into);

// What a caller says about a posting.
struct PostingNote {
  int64_t amount = 0;
  std::string reason;
  std::string actor;
  std::string source;
  std::string external_id;
  std::string order;  // Its id.
  std::optional<PostingKey> refers_to;
  std::optional<Uuid> peer;
  // Of points that are earned or taken back: when they were earned, which is when they count for
  // tiers. Absent: for none.
  std::optional<absl::Time> earn_time;
};

// Records an event about a member; `version`: how far their postings in its wallet go.
void RecordFor(journal::Recorder& recorder, const MemberKey& member, int64_t version,
               const google::protobuf::Message& payload);

// Makes somebody a member; the member is not one yet.
void Enrol(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key);

class WalletSession {
 public:
  // For whom it may be opened besides members: who becomes one by it, if the programme's policy
  // lets them, or who was erased, whose points still run out of time.
  enum class Admit { kMembers, kNewcomers, kErased };

  // The wallet of the member, by id or, without one, the programme's first; all that is due has
  // happened. NOT_FOUND when the programme is not there, or the member; FAILED_PRECONDITION, reason
  // MEMBER_ERASED; Moved.
  // `now`: the instant of the decision, if it is not that of the transaction.
  static absl::StatusOr<WalletSession> Open(LoyaltyWork& work, journal::Recorder& recorder,
                                            const MemberKey& member, const std::string& wallet,
                                            Admit admit,
                                            std::optional<absl::Time> now = std::nullopt);

  const Program& program() const { return *program_; }
  const WalletTerms& terms() const { return *terms_; }
  absl::Time now() const { return now_; }
  const MemberKey& member() const { return member_; }
  WalletKey key() const { return {member_.tenant, member_.program, terms_->id, member_.contact}; }
  // For the rules; what they answer is to be posted.
  Wallet& wallet() { return *wallet_; }

  // Keeps what a rule has done. Of a posting over two members, this one's part.
  StoredPosting Post(const Posting& posting, PostingNote note);
  v1::Balance balance() const;

  // Records all that was posted, once, when it is done; the member's tier follows.
  absl::Status Record();
  // Without the tier, for what the tier itself brings.
  void RecordPostings();

 private:
  WalletSession(LoyaltyWork& work, journal::Recorder& recorder, MemberKey member,
                const Program& program, const WalletTerms& terms, absl::Time now)
      : work_(&work),
        recorder_(&recorder),
        member_(std::move(member)),
        program_(&program),
        terms_(&terms),
        now_(now),
        wallet_(&work.Change(key())) {}

  absl::Status SettleNow();

  LoyaltyWork* work_;
  journal::Recorder* recorder_;
  MemberKey member_;
  const Program* program_;
  const WalletTerms* terms_;
  absl::Time now_;
  Wallet* wallet_;
  v1::PointsPosted posted_;
};

// Lets happen what is due in a wallet of a member, and records it.
absl::Status SettleWallet(LoyaltyWork& work, journal::Recorder& recorder, const WalletKey& key);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_WALLET_SESSION_H_
