// How postings and lots are read from their rows.
#ifndef CLM_SERVICES_LOYALTY_POSTING_ROW_H_
#define CLM_SERVICES_LOYALTY_POSTING_ROW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_work.h"

// The columns of ReadPosting, of a posting `p` with its details.
#define CLM_POSTING_COLUMNS                                                                  \
  "p.tenant_id, p.contact_id, p.program_id, p.wallet_id, p.number, p.id, p.kind, p.amount, " \
  "p.balance, p.accounts::text[], p.lots::text[], p.amounts::text[], p.refers_contact, "     \
  "p.refers_number, p.peer, p.post_time, coalesce(n.reason, ''), coalesce(n.actor, ''), "    \
  "coalesce(e.source, ''), coalesce(e.external_id, ''), coalesce(n.order_id, '')"
#define CLM_POSTING_DETAILS                                                                \
  "LEFT JOIN LATERAL (SELECT * FROM posting_note n WHERE n.tenant_id = p.tenant_id "       \
  "AND n.contact_id = p.contact_id AND n.program_id = p.program_id "                       \
  "AND n.wallet_id = p.wallet_id AND n.number = p.number OFFSET 0) n ON true "             \
  "LEFT JOIN LATERAL (SELECT * FROM external_key e WHERE e.contact_id = p.contact_id "     \
  "AND e.program_id = p.program_id AND e.wallet_id = p.wallet_id AND e.number = p.number " \
  "AND e.tenant_id = p.tenant_id OFFSET 0) e ON true"

namespace clm::loyalty {

// From CLM_POSTING_COLUMNS, the first of them at `column`. INTERNAL for a row that no version of
// this program wrote.
absl::StatusOr<StoredPosting> ReadPosting(const pg::Row& row, int column);

// From the columns id, earned, remaining, held, expired, returned, pending, earn_time,
// activate_time, expire_time, posting_id, the first of them at `column`.
Lot ReadLot(const pg::Row& row, int column);

// The elements of the arrays of a posting as PostgreSQL reads them: "{1,5}".
struct EntryArrays {
  std::string accounts;
  std::string lots;
  std::string amounts;
};
EntryArrays ArraysOf(const std::vector<Entry>& entries);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_POSTING_ROW_H_
