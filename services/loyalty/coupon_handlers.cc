// The RPCs of CouponService about coupons and budgets themselves.
#include "services/loyalty/coupon_handlers.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/coupon_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_mutation.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

// Codes that are made beyond what is asked for: some may be taken.
constexpr int kSpareCodes = 32;

// What a request for new coupons has come to.
struct NewCoupons {
  ProgramKey program;
  StoredCoupon like;  // All but key and code.
  std::optional<MemberKey> member;
  std::vector<NewCode> codes;  // To choose from.
  std::vector<Uuid> ids;       // As many as are wanted.
};

// A name within the programme of `parent`.
template <class Key>
void CheckParent(absl::string_view field, const ProgramKey& program, const Key& key,
                 error::FieldErrors& errors) {
  if (key.tenant == program.tenant && key.program == program.program) return;
  errors.Add(field, "is of another programme than the parent");
}

absl::StatusOr<NewCoupons> ReadNew(const std::string& parent, const v1::Coupon& coupon,
                                   const v1::CodeFormat& code_format, int count, absl::Time now) {
  NewCoupons made;
  CLM_ASSIGN_OR_RETURN(made.program, ParseProgramName("parent", parent));
  error::FieldErrors errors;
  if (!coupon.name().empty()) errors.Add("coupon.name", "must be empty: it is given");
  TermsFromProto(coupon, made.like);
  errors.AddStatus("coupon", ValidateCoupon(made.like.terms));
  made.like.batch = coupon.batch();
  if (!coupon.member().empty()) {
    CLM_ASSIGN_OR_RETURN(made.member, ParseMemberName("coupon.member", coupon.member()));
    CheckParent("coupon.member", made.program, *made.member, errors);
  }
  if (!coupon.budget().empty()) {
    CLM_ASSIGN_OR_RETURN(const CouponBudgetKey budget,
                         ParseCouponBudgetName("coupon.budget", coupon.budget()));
    CheckParent("coupon.budget", made.program, budget, errors);
    made.like.budget = budget.id;
  }
  const CodeFormat format = FromProto(code_format);
  if (coupon.code().empty()) {
    errors.AddStatus("code_format", ValidateCodeFormat(format));
  } else if (format != CodeFormat()) {
    errors.Add("code_format", "must be empty: the coupon brings its code");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (coupon.code().empty()) {
    CLM_ASSIGN_OR_RETURN(made.codes, MakeCodes(format, count + kSpareCodes));
  } else {
    CLM_ASSIGN_OR_RETURN(std::string folded, FoldCode("coupon.code", coupon.code()));
    made.codes.push_back({coupon.code(), std::move(folded)});
  }
  for (int i = 0; i < count; ++i) made.ids.push_back(Uuid::V7(now));
  return made;
}

// All of them or none.
absl::StatusOr<std::vector<v1::Coupon>> Make(CouponWork& work, journal::Recorder& recorder,
                                             const NewCoupons& made, bool chosen,
                                             const std::optional<MemberKey>& member) {
  if (work.FindProgram(made.program) == nullptr) return error::NotFound(NameOf(made.program));
  CLM_RETURN_IF_ERROR(CheckBudgetOf(work, made.like, made.program));
  std::vector<v1::Coupon> coupons;
  auto code = made.codes.begin();
  for (const Uuid& id : made.ids) {
    while (code != made.codes.end() && work.CodeTaken(made.program, code->folded)) ++code;
    if (code == made.codes.end()) {
      if (chosen) {
        return error::Make(absl::StatusCode::kAlreadyExists, "CODE_TAKEN",
                           "coupon.code: there is such a coupon already");
      }
      return error::Precondition("CODES_TOO_SHORT",
                                 "code_format: most codes of this length are taken; ask for more "
                                 "random characters");
    }
    StoredCoupon coupon = made.like;
    coupon.key = {made.program.tenant, made.program.program, id};
    coupon.code = code->folded;
    coupon.shown_code = code->shown;
    if (member) {
      coupon.contact = member->contact;
      coupon.terms.member = member->contact.ToString();
    }
    coupon.create_time = coupon.update_time = recorder.now();
    coupon.version = 1;
    coupons.push_back(KeepCoupon(work, recorder, coupon));
  }
  return coupons;
}

template <class Resp>
void Create(journal::Lanes& lanes, const journal::MutationInfo& info, NewCoupons coupons,
            bool chosen, std::function<Resp(std::vector<v1::Coupon>)> answer,
            rpc::Reply<Resp> reply) {
  auto made = std::make_shared<const NewCoupons>(std::move(coupons));
  CouponMutation<Resp> mutation;
  mutation.info = info;
  mutation.info.weight = static_cast<int>(made->ids.size());
  mutation.info.shards.set(ShardOfCodes(made->program));
  for (const Uuid& id : made->ids) mutation.info.shards.set(ShardOf(made->program.tenant, id));
  mutation.member = made->member;
  mutation.declare = [made](CouponWork& work, const std::optional<MemberKey>&) {
    work.NeedProgram(made->program);
    for (const NewCode& code : made->codes) work.NeedCode(made->program, code.folded);
    if (!made->like.budget.empty()) {
      work.NeedBudget({made->program.tenant, made->program.program, made->like.budget});
    }
  };
  mutation.apply = [made, chosen, answer](
                       CouponWork& work, journal::Recorder& recorder,
                       const std::optional<MemberKey>& member) -> absl::StatusOr<Resp> {
    CLM_ASSIGN_OR_RETURN(auto all, Make(work, recorder, *made, chosen, member));
    return answer(std::move(all));
  };
  RunOnCoupons(lanes, std::move(mutation), std::move(reply));
}

}  // namespace

void CouponHandlers::CreateCoupon(const rpc::Call& call, const v1::CreateCouponRequest& request,
                                  rpc::Reply<v1::Coupon> reply) {
  auto made = ReadNew(request.parent(), request.coupon(), request.code_format(), 1, call.now);
  if (!made.ok()) return reply(made.status());
  const auto info = journal::InfoFor(call, made->program.tenant, request);
  const bool chosen = !request.coupon().code().empty();
  Create<v1::Coupon>(
      *parts_.lanes, info, *std::move(made), chosen,
      [](std::vector<v1::Coupon> coupons) { return std::move(coupons.front()); }, std::move(reply));
}

void CouponHandlers::BatchCreateCoupons(const rpc::Call& call,
                                        const v1::BatchCreateCouponsRequest& request,
                                        rpc::Reply<v1::BatchCreateCouponsResponse> reply) {
  error::FieldErrors errors;
  if (!request.coupon().code().empty()) {
    errors.Add("coupon.code", "must be empty: each gets one of its own");
  }
  if (request.coupon().batch().empty()) {
    errors.Add("coupon.batch", "must be set: they are listed by it");
  }
  if (!errors.empty()) return reply(errors.ToStatus());
  auto made =
      ReadNew(request.parent(), request.coupon(), request.code_format(), request.count(), call.now);
  if (!made.ok()) return reply(made.status());
  const auto info = journal::InfoFor(call, made->program.tenant, request);
  Create<v1::BatchCreateCouponsResponse>(
      *parts_.lanes, info, *std::move(made), /*chosen=*/false,
      [](std::vector<v1::Coupon> coupons) {
        v1::BatchCreateCouponsResponse response;
        for (v1::Coupon& coupon : coupons) *response.add_coupons() = std::move(coupon);
        return response;
      },
      std::move(reply));
}

void CouponHandlers::UpdateCoupon(const rpc::Call& call, const v1::UpdateCouponRequest& request,
                                  rpc::Reply<v1::Coupon> reply) {
  const auto key = ParseCouponName("coupon.name", request.coupon().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.coupon());
  if (!paths.ok()) return reply(paths.status());
  const auto known = parts_.reader->GetCoupon(*key, call.now, call.deadline);
  if (!known.ok()) return reply(known.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfCoupon(*key));
  if (const auto person = Uuid::Parse(known->terms.member)) {
    // The answer names them, and an erasure takes it away.
    info.aggregate = *person;
    info.shards.set(ShardOf(key->tenant, *person));
  }
  journal::Mutate<CouponWork>(
      *parts_.lanes, std::move(info), [key = *key](CouponWork& work) { work.NeedCoupon(key); },
      [key = *key, paths = *std::move(paths), patch = request.coupon()](
          CouponWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const StoredCoupon* before = work.FindCoupon(key);
        if (before == nullptr) return error::NotFound(NameOf(key));
        CLM_RETURN_IF_ERROR(CheckEtag("coupon.etag", patch.etag(), before->version));
        v1::Coupon wire = ToProto(*before);
        rpc::ApplyMask(paths, patch, wire);
        StoredCoupon next = *before;
        TermsFromProto(wire, next);
        next.terms.member = before->terms.member;
        error::FieldErrors errors;
        errors.AddStatus("coupon", ValidateCoupon(next.terms));
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        if (next.terms == before->terms && next.display_name == before->display_name) {
          return ToProto(next).SerializeAsString();
        }
        ++next.version;
        next.update_time = recorder.now();
        return KeepCoupon(work, recorder, next).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::Coupon> CouponHandlers::GetCoupon(const rpc::Call& call,
                                                     const v1::GetCouponRequest& request) {
  CLM_ASSIGN_OR_RETURN(const CouponKey key, ParseCouponName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredCoupon coupon,
                       parts_.reader->GetCoupon(key, call.now, call.deadline));
  return ToProto(coupon);
}

absl::StatusOr<v1::Coupon> CouponHandlers::LookupCoupon(const rpc::Call& call,
                                                        const v1::LookupCouponRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(
      const StoredCoupon coupon,
      parts_.guesses->FindCoupon(call, program, std::nullopt, "code", request.code()));
  return ToProto(coupon);
}

absl::StatusOr<v1::ListCouponsResponse> CouponHandlers::ListCoupons(
    const rpc::Call& call, const v1::ListCouponsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  CouponReader::Filter filter{.batch = request.batch()};
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("member", request.member()));
    error::FieldErrors errors;
    CheckParent("member", program, member, errors);
    CLM_RETURN_IF_ERROR(errors.ToStatus());
    filter.member = member.contact;
  }
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListCoupons", request.parent(), request.batch(),
                                         request.member()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> after;
  if (!last.empty()) after = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto coupons, parts_.reader->Coupons(program, filter, after, size + 1,
                                                            call.now, call.deadline));
  v1::ListCouponsResponse response;
  const bool more = static_cast<int>(coupons.size()) > size;
  if (more) coupons.resize(size);
  for (const StoredCoupon& coupon : coupons) *response.add_coupons() = ToProto(coupon);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(list, {coupons.back().key.id.ToBytes()}));
  }
  return response;
}

// ---- Budgets.

namespace {

absl::Status ValidateBudget(const CouponBudget& budget) {
  if (budget.value_limit_minor == 0 || !budget.currency.empty()) return absl::OkStatus();
  return error::InvalidField("coupon_budget.currency", "must be set with a limit in money");
}

v1::CouponBudget Save(CouponWork& work, journal::Recorder& recorder,
                      const StoredCouponBudget& budget) {
  work.SaveBudget(budget);
  v1::CouponBudgetChanged changed;
  *changed.mutable_budget() = ToProto(budget);
  recorder.Record({.shard = ShardOfBudget(budget.key),
                   .tenant = budget.key.tenant,
                   .subject = NameOf(budget.key),
                   .type = v1::CouponBudgetChanged::descriptor()->full_name(),
                   .subject_version = budget.version,
                   .payload = changed.SerializeAsString()});
  return changed.budget();
}

}  // namespace

void CouponHandlers::CreateCouponBudget(const rpc::Call& call,
                                        const v1::CreateCouponBudgetRequest& request,
                                        rpc::Reply<v1::CouponBudget> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  StoredCouponBudget budget;
  budget.key = {program->tenant, program->program, request.coupon_budget_id()};
  CeilingsFromProto(request.coupon_budget(), budget);
  error::FieldErrors errors;
  if (!request.coupon_budget().name().empty() &&
      request.coupon_budget().name() != NameOf(budget.key)) {
    errors.Add("coupon_budget.name", absl::StrCat("must be empty, or ", NameOf(budget.key)));
  }
  errors.AddStatus("", ValidateBudget(budget.budget));
  if (!errors.empty()) return reply(errors.ToStatus());
  journal::MutationInfo info = journal::InfoFor(call, program->tenant, request);
  info.shards.set(ShardOfBudget(budget.key));
  journal::Mutate<CouponWork>(
      *parts_.lanes, std::move(info),
      [program = *program, key = budget.key](CouponWork& work) {
        work.NeedProgram(program);
        work.NeedBudget(key);
      },
      [program = *program, budget](CouponWork& work,
                                   journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (work.FindProgram(program) == nullptr) return error::NotFound(NameOf(program));
        if (work.FindBudget(budget.key) != nullptr) {
          return error::Make(
              absl::StatusCode::kAlreadyExists, "COUPON_BUDGET_EXISTS",
              absl::StrCat("coupon_budget_id: '", budget.key.id, "' exists already"));
        }
        StoredCouponBudget created = budget;
        created.create_time = created.update_time = recorder.now();
        created.version = 1;
        return Save(work, recorder, created).SerializeAsString();
      },
      std::move(reply));
}

void CouponHandlers::UpdateCouponBudget(const rpc::Call& call,
                                        const v1::UpdateCouponBudgetRequest& request,
                                        rpc::Reply<v1::CouponBudget> reply) {
  const auto key = ParseCouponBudgetName("coupon_budget.name", request.coupon_budget().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.coupon_budget());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfBudget(*key));
  journal::Mutate<CouponWork>(
      *parts_.lanes, std::move(info), [key = *key](CouponWork& work) { work.NeedBudget(key); },
      [key = *key, paths = *std::move(paths), patch = request.coupon_budget()](
          CouponWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const StoredCouponBudget* before = work.FindBudget(key);
        if (before == nullptr) return error::NotFound(NameOf(key));
        CLM_RETURN_IF_ERROR(CheckEtag("coupon_budget.etag", patch.etag(), before->version));
        v1::CouponBudget wire = ToProto(*before);
        const std::string unchanged = wire.SerializeAsString();
        rpc::ApplyMask(paths, patch, wire);
        if (wire.SerializeAsString() == unchanged) return unchanged;
        StoredCouponBudget next = *before;
        CeilingsFromProto(wire, next);
        CLM_RETURN_IF_ERROR(ValidateBudget(next.budget));
        ++next.version;
        next.update_time = recorder.now();
        return Save(work, recorder, next).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::CouponBudget> CouponHandlers::GetCouponBudget(
    const rpc::Call& call, const v1::GetCouponBudgetRequest& request) {
  CLM_ASSIGN_OR_RETURN(const CouponBudgetKey key, ParseCouponBudgetName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredCouponBudget budget,
                       parts_.reader->GetBudget(key, call.now, call.deadline));
  return ToProto(budget);
}

absl::StatusOr<v1::ListCouponBudgetsResponse> CouponHandlers::ListCouponBudgets(
    const rpc::Call& call, const v1::ListCouponBudgetsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListCouponBudgets", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(auto budgets, parts_.reader->Budgets(program, last.empty() ? "" : last[0],
                                                            size + 1, call.now, call.deadline));
  v1::ListCouponBudgetsResponse response;
  const bool more = static_cast<int>(budgets.size()) > size;
  if (more) budgets.resize(size);
  for (const auto& budget : budgets) *response.add_coupon_budgets() = ToProto(budget);
  if (more) response.set_next_page_token(parts_.tokens->Encode(list, {budgets.back().key.id}));
  return response;
}

}  // namespace clm::loyalty
