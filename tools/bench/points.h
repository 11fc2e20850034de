// The members of a loyalty programme on a stand, and what is sent to them.
#ifndef CLM_TOOLS_BENCH_POINTS_H_
#define CLM_TOOLS_BENCH_POINTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clm/loyalty/v1/program_service.pb.h"
#include "tools/bench/closed_loop.h"
#include "tools/bench/stand.h"

namespace clm::bench {

inline constexpr char kEarnPoints[] = "/clm.loyalty.v1.LedgerService/EarnPoints";
inline constexpr char kBatchEarnPoints[] = "/clm.loyalty.v1.LedgerService/BatchEarnPoints";
inline constexpr char kGetMember[] = "/clm.loyalty.v1.ProgramService/GetMember";
inline constexpr char kLoyaltyDatabase[] = "clm_loyalty";

inline constexpr int kEarnsPerRequest = 50;

// Told how far something is that takes its time.
using Say = std::function<void(const std::string&)>;

// A Work refers to its Points, which must outlive it. Not thread-safe, but for the functions of a
// Work, as closed_loop.h says.
class Points {
 public:
  // Makes the programme "bench" of the tenant of Traffic, whose points are good for a year, and
  // `accounts` members who have earned once before. The ceilings have tables of their own, with the
  // same columns, indexes and rows, in the schema "k3".
  static absl::StatusOr<std::unique_ptr<Points>> Prepare(Stand& stand, int64_t accounts, Say say);

  // Every earn has a request_id of its own, a batch of them has one.
  Work EarnUniform();
  Work EarnHot();
  // kEarnsPerRequest of random members.
  Work EarnBatch();
  // Of whom the above are, for EarnPointsScript.
  std::string UniformAccounts() const;
  static std::string HotAccount();

  // Of random ones of as many members as can be read once each before the first is forgotten, and
  // of each of those once: then it ends.
  Work GetMember();
  Work GetEveryMember();
  // GetMember from the memory of the process, or as above.
  Work GetNear();
  // Of one member who has earned once, and of the one of `entries` postings, from the database.
  Work GetShort();
  Work GetLong();
  // Gives one member more than the accounts `entries` postings: points earned and spent in turn,
  // the last thousand of them there still.
  absl::Status MakeLong(int64_t entries);

  std::string AnyMember() const;

 private:
  Points(Stand& stand, int64_t accounts, Say say)
      : stand_(stand), accounts_(accounts), say_(std::move(say)) {}
  absl::Status MakeProgram();
  absl::Status MakeTables();
  absl::Status MakeAccounts();
  // Runs `sql` with $FROM and $TO for parts of the numbers from 1 to `count`.
  absl::Status Fill(const std::string& what, const std::string& sql, int64_t count);
  absl::Status Vacuum();
  Work Earn(std::function<int64_t()> account);
  // `name`: whom to read next; empty: nobody any more.
  Work Get(std::function<std::string()> name,
           loyalty::v1::Consistency consistency = loyalty::v1::CONSISTENCY_UNSPECIFIED,
           int max_staleness_seconds = 0);

  Stand& stand_;
  const int64_t accounts_;
  const Say say_;
};

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_POINTS_H_
