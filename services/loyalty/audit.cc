#include "services/loyalty/audit.h"

#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace clm::loyalty {
namespace {

// What entries say about a lot.
struct LotSums {
  int64_t earned = 0;
  int64_t active = 0;
  int64_t pending = 0;
  int64_t held = 0;
  int64_t expired = 0;
  int64_t returned = 0;
};

class Auditor {
 public:
  Auditor(const Wallet& wallet, absl::Span<const Uuid> merged)
      : wallet_(wallet), members_(merged.begin(), merged.end()) {
    members_.insert(wallet.key.member);
  }

  void Read(const Posting& posting) {
    int64_t sum = 0;
    for (const Entry& entry : posting.entries) {
      Add(sum, entry.amount);
      if (!members_.contains(entry.member)) continue;
      AddToTotals(posting.kind, entry);
      if (entry.lot) AddToLot(posting, entry);
    }
    Expect(absl::StrCat("posting ", posting.id.ToString(), ": the sum of its entries"), sum, 0);
  }

  std::vector<std::string> Finish() {
    CompareTotals();
    CompareLots();
    CompareHolds();
    if (const absl::Status status = CheckTotals(wallet_.totals); !status.ok()) {
      findings_.emplace_back(status.message());
    }
    return std::move(findings_);
  }

 private:
  // Wraps around on overflow, and so back again if the sum as a whole fits.
  static void Add(int64_t& sum, int64_t amount) {
    static_cast<void>(__builtin_add_overflow(sum, amount, &sum));
  }
  static void Subtract(int64_t& sum, int64_t amount) {
    static_cast<void>(__builtin_sub_overflow(sum, amount, &sum));
  }

  void AddToTotals(PostingKind kind, const Entry& entry) {
    // On its way through the house it is neither side's.
    if (entry.account == Account::kTransferred) return;
    if (kind == PostingKind::kTransfer) Add(totals_.transferred, entry.amount);
    switch (entry.account) {
      case Account::kActive:
        return Add(totals_.active, entry.amount);
      case Account::kPending:
        return Add(totals_.pending, entry.amount);
      case Account::kHeld:
        return Add(totals_.held, entry.amount);
      case Account::kDebt:
        return Subtract(totals_.debt, entry.amount);
      case Account::kIssued:
        if (kind == PostingKind::kReturn) return Add(totals_.returned, entry.amount);
        return Subtract(totals_.earned, entry.amount);
      case Account::kRedeemed:
        return Add(totals_.redeemed, entry.amount);
      case Account::kExpired:
        return Add(totals_.expired, entry.amount);
      case Account::kAdjusted:
        return Subtract(totals_.adjusted, entry.amount);
      case Account::kTransferred:
        return;
    }
  }

  void AddToLot(const Posting& posting, const Entry& entry) {
    LotSums& lot = lots_[*entry.lot];
    const auto kept = wallet_.lots.find(*entry.lot);
    if (kept != wallet_.lots.end() && kept->second.posting == posting.id &&
        !IsHouse(entry.account)) {
      Add(lot.earned, entry.amount);
    }
    if (entry.account == Account::kActive) Add(lot.active, entry.amount);
    if (entry.account == Account::kPending) Add(lot.pending, entry.amount);
    if (entry.account == Account::kHeld) Add(lot.held, entry.amount);
    if (entry.account == Account::kExpired) Add(lot.expired, entry.amount);
    if (entry.account == Account::kIssued && posting.kind == PostingKind::kReturn) {
      Add(lot.returned, entry.amount);
    }
  }

  void Expect(const std::string& what, int64_t kept, int64_t entries) {
    if (kept == entries) return;
    findings_.push_back(absl::StrCat(what, " is ", kept, " and should be ", entries));
  }

  void CompareTotals() {
    for (const TotalField& field : kTotalFields) {
      Expect(absl::StrCat("wallet: ", field.name), wallet_.totals.*field.value,
             totals_.*field.value);
    }
  }

  void CompareLots() {
    for (const auto& [id, lot] : wallet_.lots) {
      const LotSums& sums = lots_[id];
      const std::string name = absl::StrCat("lot ", id.ToString(), ": ");
      Expect(name + "earned", lot.earned, sums.earned);
      Expect(name + "what remains, pending", lot.pending ? lot.remaining : 0, sums.pending);
      Expect(name + "what remains, active", lot.pending ? 0 : lot.remaining, sums.active);
      Expect(name + "held", lot.held, sums.held);
      Expect(name + "expired", lot.expired, sums.expired);
      Expect(name + "returned", lot.returned, sums.returned);
    }
    for (const auto& [id, sums] : lots_) {
      if (wallet_.lots.contains(id)) continue;
      findings_.push_back(absl::StrCat("lot ", id.ToString(), ": has entries and is missing"));
    }
  }

  void CompareHolds() {
    std::map<Uuid, int64_t> held;
    for (const auto& [id, hold] : wallet_.holds) {
      if (hold.state != HoldState::kOpen) continue;
      for (const Allocation& part : hold.allocations) Add(held[part.lot], part.amount);
    }
    for (const auto& [id, lot] : wallet_.lots) {
      Expect(absl::StrCat("lot ", id.ToString(), ": what open holds hold of it"), held[id],
             lot.held);
      held.erase(id);
    }
    for (const auto& [id, amount] : held) {
      Expect(absl::StrCat("lot ", id.ToString(), ", missing: what open holds hold of it"), amount,
             0);
    }
  }

  const Wallet& wallet_;
  std::set<Uuid> members_;
  Totals totals_;
  std::map<Uuid, LotSums> lots_;
  std::vector<std::string> findings_;
};

}  // namespace

std::vector<std::string> Audit(const Wallet& wallet, absl::Span<const Uuid> merged,
                               absl::Span<const Posting> postings) {
  Auditor auditor(wallet, merged);
  for (const Posting& posting : postings) auditor.Read(posting);
  return auditor.Finish();
}

}  // namespace clm::loyalty
