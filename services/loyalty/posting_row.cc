#include "services/loyalty/posting_row.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

absl::Status Unreadable() { return error::Internal("a posting is stored in an unknown form"); }

}  // namespace

absl::StatusOr<StoredPosting> ReadPosting(const pg::Row& row, int column) {
  StoredPosting stored;
  const int c = column;
  stored.key.member = {std::string(row.Text(c)), std::string(row.Text(c + 2)), row.Uuid(c + 1)};
  stored.key.wallet = std::string(row.Text(c + 3));
  stored.key.number = row.Int(c + 4);
  stored.posting.id = row.Uuid(c + 5);
  stored.posting.kind = static_cast<PostingKind>(row.Int(c + 6));
  stored.amount = row.Int(c + 7);
  stored.balance = row.Int(c + 8);
  const std::vector<std::string> accounts = row.TextArray(c + 9);
  const std::vector<std::string> lots = row.TextArray(c + 10);
  const std::vector<std::string> amounts = row.TextArray(c + 11);
  if (lots.size() != accounts.size() || amounts.size() != accounts.size()) return Unreadable();
  for (size_t i = 0; i < accounts.size(); ++i) {
    Entry entry;
    entry.member = stored.key.member.contact;
    int account = 0;
    const std::optional<Uuid> lot = Uuid::Parse(lots[i]);
    if (!absl::SimpleAtoi(accounts[i], &account) || !lot ||
        !absl::SimpleAtoi(amounts[i], &entry.amount)) {
      return Unreadable();
    }
    entry.account = static_cast<Account>(account);
    if (!lot->IsNil()) entry.lot = *lot;
    stored.posting.entries.push_back(entry);
  }
  if (const auto contact = row.OptUuid(c + 12)) {
    stored.refers_to = PostingKey{stored.key.member, stored.key.wallet, row.Int(c + 13)};
    stored.refers_to->member.contact = *contact;
  }
  stored.peer = row.OptUuid(c + 14);
  stored.posting.time = row.Time(c + 15);
  stored.reason = std::string(row.Text(c + 16));
  stored.actor = std::string(row.Text(c + 17));
  stored.source = std::string(row.Text(c + 18));
  stored.external_id = std::string(row.Text(c + 19));
  stored.order = std::string(row.Text(c + 20));
  return stored;
}

Lot ReadLot(const pg::Row& row, int c) {
  Lot lot;
  lot.id = row.Uuid(c);
  lot.earned = row.Int(c + 1);
  lot.remaining = row.Int(c + 2);
  lot.held = row.Int(c + 3);
  lot.expired = row.Int(c + 4);
  lot.returned = row.Int(c + 5);
  lot.pending = row.Bool(c + 6);
  lot.earn_time = row.Time(c + 7);
  lot.activate_time = row.Time(c + 8);
  lot.expire_time = row.Time(c + 9);
  lot.posting = row.Uuid(c + 10);
  return lot;
}

EntryArrays ArraysOf(const std::vector<Entry>& entries) {
  EntryArrays arrays{"{", "{", "{"};
  for (const Entry& entry : entries) {
    const absl::string_view comma = arrays.accounts.size() == 1 ? "" : ",";
    absl::StrAppend(&arrays.accounts, comma, static_cast<int>(entry.account));
    absl::StrAppend(&arrays.lots, comma, entry.lot.value_or(Uuid()).ToString());
    absl::StrAppend(&arrays.amounts, comma, entry.amount);
  }
  for (std::string* text : {&arrays.accounts, &arrays.lots, &arrays.amounts}) text->push_back('}');
  return arrays;
}

}  // namespace clm::loyalty
