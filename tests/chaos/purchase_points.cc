#include "tests/chaos/purchase_points.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "tests/chaos/contact_load.h"

namespace clm::chaos {
namespace {

using Ledger = loyalty::v1::LedgerService::Stub;
using Programs = loyalty::v1::ProgramService::Stub;

constexpr char kClub[] = "club";

}  // namespace

PurchasePoints::PurchasePoints(World* world, std::vector<std::string> tenants)
    : world_(*world), tenants_(std::move(tenants)) {
  for (const std::string& tenant : tenants_) {
    loyalty::v1::CreateProgramRequest create;
    create.set_parent(absl::StrCat("tenants/", tenant));
    create.set_program_id(kClub);
    create.mutable_program()->add_wallets()->set_id("points");
    auto* rule = create.mutable_program()->add_earn_rules();
    rule->set_id("euros");
    rule->set_event_type("purchase");
    rule->set_earning(loyalty::v1::EarnRule::EARNING_PER_MONEY);
    rule->set_points(1);
    rule->set_per(100);
    rule->set_currency("EUR");
    for (const auto& [id, threshold] :
         {std::pair("bronze", 0), std::pair("silver", 3), std::pair("gold", 50)}) {
      auto* tier = create.mutable_program()->mutable_tier_scheme()->add_tiers();
      tier->set_id(id);
      tier->set_threshold(threshold);
    }
    create.set_request_id(IdOf(absl::StrCat("club of ", tenant)));
    const auto created = world_.loyalty_caller().Call(&Programs::CreateProgram, create);
    EXPECT_TRUE(created.ok()) << created.status();
  }
}

void PurchasePoints::ExpectEachPurchaseEarnedOnce() {
  const auto offsets = [](const clm::testing::Database& database, const std::string& from) {
    return Ask(database.admin_dsn, absl::StrCat("SELECT format('%s=%s', shard, off) FROM ", from,
                                                " AND off > 0 ORDER BY shard"));
  };
  const std::string& dsn = world_.loyalty_database().admin_dsn;
  ASSERT_TRUE(Eventually([&] {
    return offsets(world_.loyalty_database(), "consumer_shard WHERE source = 'contact'") ==
           offsets(world_.contact_database(), "journal_head WHERE true");
  })) << Ask(dsn, "SELECT consumer_shard::text FROM consumer_shard");
  EXPECT_EQ(Ask(dsn, "SELECT format('%s: %s', event_id, error_message) FROM dead_letter"), "");
  const std::string ours =
      absl::StrCat(" WHERE tenant_id IN ('", absl::StrJoin(tenants_, "', '"), "')");
  EXPECT_EQ(Ask(dsn, absl::StrCat("SELECT format('%s %s %s', tenant_id, contact_id, active) "
                                  "FROM wallet",
                                  ours, " ORDER BY 1")),
            Ask(world_.contact_database().admin_dsn,
                absl::StrCat("SELECT format('%s %s %s', tenant_id, contact_id, "
                             "sum(amount_minor / 100)) FROM event",
                             ours, " GROUP BY tenant_id, contact_id ORDER BY 1")));
  for (const std::string& tenant : tenants_) {
    loyalty::v1::AuditProgramRequest request;
    request.set_name(absl::StrCat("tenants/", tenant, "/programs/", kClub));
    const auto audit =
        world_.loyalty_caller().Call(&Ledger::AuditProgram, request, nullptr, 0, absl::Seconds(30));
    ASSERT_TRUE(audit.ok()) << audit.status();
    EXPECT_GT(audit->tiers(), 0);
    EXPECT_EQ(audit->findings_size(), 0) << audit->DebugString();
  }
  World::ExpectDenseJournal(world_.loyalty_database());
}

}  // namespace clm::chaos
