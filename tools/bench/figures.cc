#include "tools/bench/figures.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "clm/access/v1/access_service.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/echo_server.h"
#include "tools/bench/event_lag.h"
#include "tools/bench/points.h"
#include "tools/bench/programs.h"
#include "tools/bench/stand.h"
#include "tools/bench/traffic.h"

namespace clm::bench {
namespace {

constexpr int kReadsInFlight = 64;
// As many as the loyalty service puts into its cache at a time; others it only answers.
constexpr int kFillsInFlight = 8;
constexpr int kWritesInFlight = 256;
constexpr int kEventRequestsInFlight = 16;
constexpr int kEarnRequestsInFlight = 16;
constexpr int kPgReaders = 8, kPgWriters = 64;
// What COPY takes in within a second, about; its slices need not be exact.
constexpr int kCopyRowsPerSecond = 60'000;
constexpr double kEventRate = 500;
constexpr int kMostRepeats = 3;

enum Figure : int {
  kSkeleton,
  kGetFresh,
  kGetCached,
  kContextCached,
  kGetNear,
  kContextNear,
  kCreate,
  kMove,
  kEvents,
  kEarn,
  kEarnHot,
  kHotToUniform,
  kEarnBatch,
  kBalance,
  kBalanceNear,
  kBalanceLong,
  kEventToStage,
  kCdnow,
  kMemory,
  kUpFirst,
  kUpLater,
  kFigures,
};

struct About {
  const char* name;
  const char* work;
  const char* against;
  Target target;
};
constexpr About kAbout[kFigures] = {
    {"skeleton", "empty method through the whole skeleton", "raw gRPC echo", {0.80, 0.93}},
    {"get-fresh", "GetContact from the database", "pgbench -S", {0.55, 1.0}},
    {"get-cached", "GetContact from Redis", "raw gRPC echo", {0.60, 0.92}},
    {"context-cached", "GetCustomerContext from Redis", "raw gRPC echo", {0.60, 0.92}},
    {"get-near", "GetContact from the cache in process", "raw gRPC echo", {0.60, 0.92}},
    {"context-near", "GetCustomerContext from the cache in process", "raw gRPC echo", {0.60, 0.92}},
    {"create", "CreateContact, durable, 256 in flight", "pgbench, same rows, one each", {1.5, 3.0}},
    {"move", "transition, 256 in flight", "pgbench, same rows, one each", {1.5, 3.0}},
    {"events", "events, 100 per request", "COPY of the same rows", {0.25, 0.60}},
    {"earn",
     "EarnPoints, durable, uniform, 256 in flight",
     "pgbench, same rows, one each",
     {1.5, 2.5}},
    {"earn-hot",
     "EarnPoints, durable, all of one account",
     "pgbench, same rows, one each",
     {8, 20}},
    {"hot-to-uniform", "EarnPoints, all of one account", "EarnPoints, uniform", {0.5, 0.85}},
    {"earn-batch", "BatchEarnPoints of 50, entries", "EarnPoints, uniform", {3, 6}},
    {"balance", "GetMember from Redis", "raw gRPC echo", {0.60, 0.85}},
    {"balance-near", "GetMember from the cache in process", "raw gRPC echo", {0.60, 0.85}},
    {"balance-long",
     "GetMember of the longest account from the database, p50",
     "of one entry",
     {1.10, 1.05, true}},
    {"event-to-stage", "event committed to stage changed, 500/s", "", {}},
    {"cdnow", "CDNOW file to finished cohort table", "", {15, 6, true}},
    {"memory", "idle memory of the suite in one process", "", {80, 40, true}},
    {"up-first", "clm up, the first time", "", {10, 5, true}},
    {"up-later", "clm up, later", "", {3, 1, true}},
};

Row NewRow(Figure figure) {
  const About& about = kAbout[figure];
  Row row;
  row.figure = about.name;
  row.work = about.work;
  row.against = about.against;
  return row;
}

// A row of one kind of measured times or sizes.
Row PlainRow(Figure figure, const std::string& unit, const std::vector<double>& values) {
  const Target& target = kAbout[figure].target;
  Row row = NewRow(figure);
  row.unit = unit;
  row.at_least = absl::StrFormat("%g %s", target.at_least, unit);
  row.aim = absl::StrFormat("%g %s", target.aim, unit);
  if (values.empty()) return row;
  row.value = Quantile(values, 0.5);
  row.low = Quantile(values, 0.25);
  row.high = Quantile(values, 0.75);
  row.rounds = static_cast<int64_t>(values.size());
  row.reached = Judge(*row.value, target);
  return row;
}

class Figures {
 public:
  Figures(const Options& options, const Tell& tell, const Say& say)
      : options_(options), tell_(tell), say_(say) {}

  absl::Status Run() {
    const auto wants_stand = [this] {
      for (int figure = 0; figure < kUpFirst; ++figure) {
        if (Wanted(static_cast<Figure>(figure))) return true;
      }
      return false;
    };
    if (wants_stand()) CLM_RETURN_IF_ERROR(OnStand());
    // With the machine to itself.
    points_.reset();
    traffic_.reset();
    stand_.reset();
    if (Wanted(kUpFirst) || Wanted(kUpLater)) CLM_RETURN_IF_ERROR(Up());
    return absl::OkStatus();
  }

 private:
  bool Wanted(Figure figure) const {
    return options_.only.empty() || std::find(options_.only.begin(), options_.only.end(),
                                              kAbout[figure].name) != options_.only.end();
  }

  absl::Status OnStand() {
    CLM_ASSIGN_OR_RETURN(
        stand_, Stand::Start({.binaries = options_.binaries, .settings = options_.settings}));
    if (Wanted(kMemory)) Memory();
    CLM_ASSIGN_OR_RETURN(traffic_, Traffic::Prepare(*stand_, options_.client, options_.contacts));
    measure_ = {.rounds = options_.pairs,
                .keep_disturbed = options_.keep_disturbed,
                .used = [this] { return stand_->Cpu().total(); }};
    CLM_RETURN_IF_ERROR(StartEchoes());
    if (Wanted(kSkeleton)) CLM_RETURN_IF_ERROR(Skeleton());
    if (Wanted(kGetFresh)) CLM_RETURN_IF_ERROR(GetFresh());
    for (const auto& [figure, context, from] :
         {std::tuple{kGetCached, false, From::kRedis},
          std::tuple{kContextCached, true, From::kRedis}, std::tuple{kGetNear, false, From::kNear},
          std::tuple{kContextNear, true, From::kNear}}) {
      if (Wanted(figure)) CLM_RETURN_IF_ERROR(Cached(figure, context, from));
    }
    if (Wanted(kCreate)) CLM_RETURN_IF_ERROR(Create());
    if (Wanted(kMove)) CLM_RETURN_IF_ERROR(Move());
    if (Wanted(kEvents)) CLM_RETURN_IF_ERROR(Events());
    CLM_RETURN_IF_ERROR(OfPoints());
    if (Wanted(kEventToStage)) CLM_RETURN_IF_ERROR(EventToStage());
    if (Wanted(kCdnow)) CLM_RETURN_IF_ERROR(Cdnow());
    return absl::OkStatus();
  }

  absl::Duration SliceLength() const { return absl::Seconds(options_.seconds); }

  absl::StatusOr<std::unique_ptr<LoadGenerator>> Generator(const std::string& socket,
                                                           const std::string& method) const {
    return NewLoadGenerator(options_.client, socket, method);
  }

  Side SuiteSide(LoadGenerator& generator, const Work& work, int in_flight, int items = 1) {
    return {
        .prepare = [this] { return stand_->Rest(); },
        .run = [this, &generator, &work, in_flight,
                items] { return traffic_->Run(generator, work, in_flight, SliceLength(), items); }};
  }

  Side CeilingSide(std::function<absl::StatusOr<Sample>()> run) {
    return {.prepare = [this] { return stand_->Rest(); }, .run = std::move(run)};
  }

  // Reads of the suite against those of an echo that answers `echoed`, after warming up.
  absl::Status Reads(Figure figure, LoadGenerator& suite, LoadGenerator& echo, const Work& work,
                     const std::string& echoed) {
    Work echo_work = work;
    echo_work.check = [&echoed](int, absl::string_view bytes) {
      // Maps have no order on the wire.
      return bytes.size() == echoed.size();
    };
    CLM_RETURN_IF_ERROR(echo.Run(echo_work, kReadsInFlight, absl::Milliseconds(300)).status());
    CLM_ASSIGN_OR_RETURN(const Rounds rounds, Measure({SuiteSide(suite, work, kReadsInFlight),
                                                       SuiteSide(echo, echo_work, kReadsInFlight)},
                                                      measure_));
    TellRatio(figure, rounds);
    return absl::OkStatus();
  }

  void TellRatio(Figure figure, const Rounds& rounds) {
    const About& about = kAbout[figure];
    tell_(RatioRow(about.name, about.work, about.against, about.target, rounds));
  }

  // With answers as large as the suite's are.
  absl::Status StartEchoes() {
    const auto stub = contact::v1::ContactService::NewStub(stand_->contact());
    contact::v1::GetContactRequest contact_request;
    contact_request.set_name(traffic_->names().front());
    contact::v1::Contact contact;
    grpc::ClientContext contact_context;
    rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(20), &contact_context);
    CLM_RETURN_IF_ERROR(
        rpc::FromGrpc(stub->GetContact(&contact_context, contact_request, &contact)));
    contact::v1::GetCustomerContextRequest customer_request;
    customer_request.set_name(traffic_->names().front());
    contact::v1::CustomerContext customer;
    grpc::ClientContext customer_context;
    rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(20), &customer_context);
    CLM_RETURN_IF_ERROR(
        rpc::FromGrpc(stub->GetCustomerContext(&customer_context, customer_request, &customer)));
    contact_ = contact.SerializeAsString();
    context_ = customer.SerializeAsString();
    CLM_ASSIGN_OR_RETURN(raw_socket_,
                         stand_->EchoSocket("raw", {{"contact", contact_}, {"context", context_}}));
    return absl::OkStatus();
  }

  absl::Status Skeleton() {
    CLM_ASSIGN_OR_RETURN(const std::string socket, stand_->EchoSocket("skeleton"));
    CLM_ASSIGN_OR_RETURN(const auto skeleton, Generator(socket, kEmptyMethod));
    CLM_ASSIGN_OR_RETURN(const auto raw, Generator(raw_socket_, kEmptyMethod));
    access::v1::GetTenantRequest request;
    request.set_name("tenants/bench");
    Work work;
    work.next = [bytes = request.SerializeAsString()](int, std::string* out) {
      *out = bytes;
      return true;
    };
    work.check = [](int, absl::string_view bytes) {
      access::v1::Tenant tenant;
      return tenant.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
             tenant.name() == "tenants/bench";
    };
    for (LoadGenerator* generator : {skeleton.get(), raw.get()}) {
      CLM_RETURN_IF_ERROR(generator->Run(work, kReadsInFlight, absl::Milliseconds(300)).status());
    }
    CLM_ASSIGN_OR_RETURN(const Rounds rounds, Measure({SuiteSide(*skeleton, work, kReadsInFlight),
                                                       SuiteSide(*raw, work, kReadsInFlight)},
                                                      measure_));
    TellRatio(kSkeleton, rounds);
    return absl::OkStatus();
  }

  absl::Status GetFresh() {
    // As many rows as there are contacts, at least.
    CLM_RETURN_IF_ERROR(PreparePgbench(*stand_, static_cast<int>(1 + options_.contacts / 100'000)));
    CLM_ASSIGN_OR_RETURN(const auto generator, Generator(stand_->contact_socket(), kGetContact));
    const Work work = traffic_->GetContact(From::kDatabase);
    CLM_RETURN_IF_ERROR(generator->Run(work, kReadsInFlight, absl::Seconds(1)).status());
    CLM_ASSIGN_OR_RETURN(const Rounds rounds,
                         Measure({SuiteSide(*generator, work, kReadsInFlight), CeilingSide([this] {
                                    return PgbenchSelect(*stand_, kPgReaders, options_.seconds);
                                  })},
                                 measure_));
    TellRatio(kGetFresh, rounds);
    return absl::OkStatus();
  }

  absl::Status Cached(Figure figure, bool context, From from) {
    const std::string method = context ? kGetCustomerContext : kGetContact;
    const std::string& echoed = context ? context_ : contact_;
    const Work warm =
        context ? traffic_->GetEveryCustomerContext(from) : traffic_->GetEveryContact(from);
    const Work work = context ? traffic_->GetCustomerContext(from) : traffic_->GetContact(from);
    CLM_ASSIGN_OR_RETURN(const auto suite, Generator(stand_->contact_socket(), method));
    CLM_ASSIGN_OR_RETURN(const auto echo, Generator(raw_socket_, method));
    CLM_RETURN_IF_ERROR(suite->Run(warm, kReadsInFlight, absl::InfiniteDuration()).status());
    return Reads(figure, *suite, *echo, work, echoed);
  }

  // Writes: warms up, measures against a ceiling that `ceiling` makes after that, and compares what
  // was acknowledged with what `count` finds in `database` afterwards.
  absl::Status Writes(Figure figure, const std::string& socket, const std::string& method,
                      const Work& work, int in_flight, int items, const std::string& database,
                      const std::string& count,
                      const std::function<absl::StatusOr<Side>()>& ceiling) {
    CLM_ASSIGN_OR_RETURN(const auto generator, Generator(socket, method));
    CLM_ASSIGN_OR_RETURN(const int64_t rows_before, stand_->Number(database, count));
    const int64_t acknowledged_before = traffic_->acknowledged();
    CLM_RETURN_IF_ERROR(
        traffic_->Run(*generator, work, in_flight, absl::Seconds(1), items).status());
    CLM_ASSIGN_OR_RETURN(Side ceiling_side, ceiling());
    CLM_ASSIGN_OR_RETURN(
        const Rounds rounds,
        Measure({SuiteSide(*generator, work, in_flight, items), std::move(ceiling_side)},
                measure_));
    CLM_ASSIGN_OR_RETURN(const int64_t rows_after, stand_->Number(database, count));
    const About& about = kAbout[figure];
    Row row = RatioRow(about.name, about.work, about.against, about.target, rounds);
    const int64_t acknowledged = traffic_->acknowledged() - acknowledged_before;
    if (row.failed == 0 && rows_after - rows_before != acknowledged) {
      row.failed = std::abs(rows_after - rows_before - acknowledged);
      row.reached = Reached::kNo;
      AddNote(&row, absl::StrCat(acknowledged, " acknowledged, ", rows_after - rows_before,
                                 " in the database"));
    }
    tell_(row);
    return absl::OkStatus();
  }

  // A ceiling by pgbench that writes rows as large as the suite's newest.
  absl::StatusOr<Side> ScriptSide(const std::string& database, const std::string& event_type,
                                  const std::function<Script(int64_t, int64_t)>& make) {
    CLM_ASSIGN_OR_RETURN(
        const int64_t event_bytes,
        stand_->Number(
            database,
            absl::StrCat("SELECT avg(length(event))::bigint FROM (SELECT event"
                         " FROM journal WHERE type = '",
                         event_type, "' ORDER BY record_time DESC LIMIT 1000) AS newest")));
    CLM_ASSIGN_OR_RETURN(
        const int64_t answer_bytes,
        stand_->Number(database,
                       "SELECT avg(length(response))::bigint FROM (SELECT response FROM request"
                       " WHERE tenant_id <> 'k3' ORDER BY create_time DESC LIMIT 1000) AS newest"));
    const Script script = make(event_bytes, answer_bytes);
    CLM_RETURN_IF_ERROR(PrepareScript(*stand_, script));
    return CeilingSide(
        [this, script] { return PgbenchScript(*stand_, script, kPgWriters, options_.seconds); });
  }

  absl::Status Create() {
    return Writes(kCreate, stand_->contact_socket(), kCreateContact, traffic_->CreateContact(),
                  kWritesInFlight, 1, "clm_contact",
                  "SELECT count(*) FROM contact WHERE tenant_id = 'bench'", [this] {
                    return ScriptSide("clm_contact", "clm.contact.v1.ContactChanged",
                                      CreateContactScript);
                  });
  }

  absl::Status Move() {
    return Writes(
        kMove, stand_->lifecycle_socket(), kMoveCustomer, traffic_->MoveCustomer(), kWritesInFlight,
        1, "clm_lifecycle",
        "SELECT count(*) FROM transition WHERE tenant_id = 'bench' AND model_id = 'bench'", [this] {
          return ScriptSide("clm_lifecycle", "clm.lifecycle.v1.StageChanged", MoveCustomerScript);
        });
  }

  absl::Status Events() {
    return Writes(
        kEvents, stand_->contact_socket(), kIngestEvents, traffic_->Visits(),
        kEventRequestsInFlight, kEventsPerRequest, "clm_contact",
        "SELECT count(*) FROM event WHERE tenant_id = 'bench'", [this]() -> absl::StatusOr<Side> {
          return CeilingSide([this] {
            return CopyEvents(*stand_, traffic_->names(), kCopyRowsPerSecond * options_.seconds);
          });
        });
  }

  absl::Status OfPoints() {
    const auto wanted = [this] {
      for (int figure = kEarn; figure <= kBalanceLong; ++figure) {
        if (Wanted(static_cast<Figure>(figure))) return true;
      }
      return false;
    };
    if (!wanted()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(points_, Points::Prepare(*stand_, options_.accounts, say_));
    if (Wanted(kEarn)) {
      CLM_RETURN_IF_ERROR(Earns(kEarn, kEarnPoints, points_->EarnUniform(), kWritesInFlight, 1,
                                points_->UniformAccounts()));
    }
    if (Wanted(kEarnHot)) {
      CLM_RETURN_IF_ERROR(Earns(kEarnHot, kEarnPoints, points_->EarnHot(), kWritesInFlight, 1,
                                Points::HotAccount()));
    }
    if (Wanted(kHotToUniform)) {
      CLM_RETURN_IF_ERROR(
          Earns(kHotToUniform, kEarnPoints, points_->EarnHot(), kWritesInFlight, 1));
    }
    if (Wanted(kEarnBatch)) {
      CLM_RETURN_IF_ERROR(Earns(kEarnBatch, kBatchEarnPoints, points_->EarnBatch(),
                                kEarnRequestsInFlight, kEarnsPerRequest));
    }
    if (Wanted(kBalance) || Wanted(kBalanceNear)) CLM_RETURN_IF_ERROR(Balances());
    if (Wanted(kBalanceLong)) CLM_RETURN_IF_ERROR(BalanceLong());
    return absl::OkStatus();
  }

  // Against pgbench with points for `accounts`, or against ours for random ones.
  absl::Status Earns(Figure figure, const std::string& method, const Work& work, int in_flight,
                     int items, const std::string& accounts = "") {
    const Work uniform = points_->EarnUniform();
    CLM_ASSIGN_OR_RETURN(const auto generator, Generator(stand_->contact_socket(), kEarnPoints));
    return Writes(figure, stand_->contact_socket(), method, work, in_flight, items,
                  kLoyaltyDatabase, "SELECT count(*) FROM posting", [&]() -> absl::StatusOr<Side> {
                    if (accounts.empty()) return SuiteSide(*generator, uniform, kWritesInFlight);
                    return ScriptSide(kLoyaltyDatabase, "clm.loyalty.v1.PointsPosted",
                                      [&](int64_t event_bytes, int64_t answer_bytes) {
                                        return EarnPointsScript(accounts, event_bytes,
                                                                answer_bytes);
                                      });
                  });
  }

  absl::Status Balances() {
    loyalty::v1::GetMemberRequest request;
    request.set_name(points_->AnyMember());
    loyalty::v1::Member member;
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "clm-bench"}, absl::Seconds(20), &context);
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(loyalty::v1::ProgramService::NewStub(stand_->contact())
                                          ->GetMember(&context, request, &member)));
    CLM_ASSIGN_OR_RETURN(
        const std::string socket,
        stand_->EchoSocket("raw-loyalty", {{"member", member.SerializeAsString()}}));
    CLM_ASSIGN_OR_RETURN(const auto suite, Generator(stand_->contact_socket(), kGetMember));
    CLM_ASSIGN_OR_RETURN(const auto echo, Generator(socket, kGetMember));
    CLM_RETURN_IF_ERROR(
        suite->Run(points_->GetEveryMember(), kFillsInFlight, absl::InfiniteDuration()).status());
    const std::string answer = member.SerializeAsString();
    if (Wanted(kBalance)) {
      CLM_RETURN_IF_ERROR(Reads(kBalance, *suite, *echo, points_->GetMember(), answer));
    }
    if (!Wanted(kBalanceNear)) return absl::OkStatus();
    const Work near = points_->GetNear();
    CLM_RETURN_IF_ERROR(suite->Run(near, kReadsInFlight, SliceLength()).status());
    return Reads(kBalanceNear, *suite, *echo, near, answer);
  }

  absl::Status BalanceLong() {
    CLM_RETURN_IF_ERROR(points_->MakeLong(options_.entries));
    CLM_ASSIGN_OR_RETURN(const auto generator, Generator(stand_->contact_socket(), kGetMember));
    const Work of_long = points_->GetLong(), of_short = points_->GetShort();
    for (const Work* work : {&of_long, &of_short}) {
      CLM_RETURN_IF_ERROR(generator->Run(*work, kReadsInFlight, absl::Milliseconds(300)).status());
    }
    CLM_ASSIGN_OR_RETURN(const Rounds rounds,
                         Measure({SuiteSide(*generator, of_long, kReadsInFlight),
                                  SuiteSide(*generator, of_short, kReadsInFlight)},
                                 measure_));
    const std::vector<double> growth = OfRounds(rounds, [](const std::vector<Sample>& s) {
      return s[1].p50_us > 0 ? s[0].p50_us / s[1].p50_us : 0;
    });
    Row row = PlainRow(kBalanceLong, "growth", growth);
    AddRounds(rounds, &row);
    if (!growth.empty()) {
      row.rate = Quantile(OfRounds(rounds, [](const auto& s) { return s[0].rate; }), 0.5);
      row.ceiling_rate = Quantile(OfRounds(rounds, [](const auto& s) { return s[1].rate; }), 0.5);
      row.p50_ms = Quantile(OfRounds(rounds, [](const auto& s) { return s[0].p50_us / 1e3; }), 0.5);
      row.p99_ms = Quantile(OfRounds(rounds, [](const auto& s) { return s[0].p99_us / 1e3; }), 0.5);
      row.cpu_us = MedianCpu(rounds, 0);
      row.ceiling_cpu_us = MedianCpu(rounds, 1);
    }
    AddNote(&row, absl::StrCat(options_.entries, " entries"));
    if (row.failed > 0) row.reached = Reached::kNo;
    tell_(row);
    return absl::OkStatus();
  }

  absl::Status EventToStage() {
    CLM_RETURN_IF_ERROR(stand_->Rest());
    std::vector<std::string> contacts = traffic_->names();
    contacts.resize(std::min(contacts.size(),
                             static_cast<size_t>(kEventRate * options_.seconds * options_.pairs)));
    CLM_ASSIGN_OR_RETURN(const EventLag lag, MeasureEventLag(*stand_, contacts, kEventRate));
    Row row = NewRow(kEventToStage);
    row.unit = "ms";
    row.at_least = "p99 100 ms";
    row.aim = "p50 10 ms, p99 50 ms";
    row.failed = lag.failures;
    if (!lag.failure.empty()) AddNote(&row, lag.failure);
    row.rate = kEventRate;
    if (!lag.lags_ms.empty()) {
      const double p50 = Quantile(lag.lags_ms, 0.50), p99 = Quantile(lag.lags_ms, 0.99);
      row.value = row.p99_ms = p99;
      row.p50_ms = p50;
      row.rounds = 1;
      AddNote(&row, absl::StrFormat("p50 %.1f ms, p99 %.1f ms of %d events", p50, p99,
                                    static_cast<int>(lag.lags_ms.size())));
      row.reached = p99 <= 50 && p50 <= 10 ? Reached::kAim
                    : p99 <= 100           ? Reached::kAtLeast
                                           : Reached::kNo;
    }
    if (row.failed > 0) row.reached = Reached::kNo;
    tell_(row);
    return absl::OkStatus();
  }

  absl::Status Cdnow() {
    std::vector<double> seconds;
    for (int i = 0; !options_.cdnow.empty() && i < std::min(options_.pairs, kMostRepeats); ++i) {
      CLM_RETURN_IF_ERROR(stand_->Rest());
      CLM_ASSIGN_OR_RETURN(const absl::Duration took,
                           TimeCdnowImport(*stand_, options_.cdnow, absl::StrCat("cdnow-", i)));
      seconds.push_back(absl::ToDoubleSeconds(took));
    }
    Row row = PlainRow(kCdnow, "s", seconds);
    if (options_.cdnow.empty()) AddNote(&row, "needs --cdnow FILE");
    tell_(row);
    return absl::OkStatus();
  }

  void Memory() {
    // What starting took is given back only after a moment.
    absl::SleepFor(absl::Seconds(2));
    tell_(PlainRow(kMemory, "MB", {static_cast<double>(stand_->SuiteMemory()) / 1e6}));
  }

  absl::Status Up() {
    std::vector<double> first, later;
    for (int i = 0; i < std::min(options_.pairs, kMostRepeats); ++i) {
      CLM_ASSIGN_OR_RETURN(const UpTimes times, TimeUp(options_.binaries));
      first.push_back(absl::ToDoubleSeconds(times.first));
      later.push_back(absl::ToDoubleSeconds(times.later));
    }
    if (Wanted(kUpFirst)) tell_(PlainRow(kUpFirst, "s", first));
    if (Wanted(kUpLater)) tell_(PlainRow(kUpLater, "s", later));
    return absl::OkStatus();
  }

  const Options& options_;
  const Tell& tell_;
  const Say& say_;
  std::unique_ptr<Stand> stand_;
  std::unique_ptr<Traffic> traffic_;
  std::unique_ptr<Points> points_;
  MeasureOptions measure_;
  std::string contact_, context_, raw_socket_;
};

}  // namespace

std::vector<std::string> FigureNames() {
  std::vector<std::string> names;
  for (const About& about : kAbout) names.emplace_back(about.name);
  return names;
}

absl::Status RunFigures(const Options& options, const Tell& tell, const Say& say) {
  return Figures(options, tell, say).Run();
}

}  // namespace clm::bench
