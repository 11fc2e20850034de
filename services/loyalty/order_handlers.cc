#include "services/loyalty/order_handlers.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/order_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/order_earning.h"
#include "services/loyalty/order_proto.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using v1::OrderChanged;

absl::Status OrderErased() {
  return error::Precondition("MEMBER_ERASED", "name: the person who ordered was erased");
}

// Who the order is of: it follows its contact when those are merged, a little later. Without
// earnings it need not wait for the points.
Uuid OwnerOf(const Order& order) {
  return order.earnings.empty() ? order.merged_into.value_or(*order.contact) : *order.contact;
}

v1::Order Keep(LoyaltyWork& work, journal::Recorder& recorder, OrderChanged::Change change,
               Order order) {
  ++order.version;
  order.update_time = recorder.now();
  work.orders().Save(order);
  OrderChanged changed;
  changed.set_change(change);
  *changed.mutable_order() = ToProto(order);
  recorder.Record({.shard = ShardOf(order.key.tenant, *order.contact),
                   .tenant = order.key.tenant,
                   .subject = NameOf(order.key),
                   .type = OrderChanged::descriptor()->full_name(),
                   .subject_version = order.version,
                   .payload = changed.SerializeAsString()});
  return std::move(*changed.mutable_order());
}

// Whether orders of the member can be made and moved. NOT_FOUND without the programme, or when it
// does not take newcomers.
absl::StatusOr<const Program*> CheckMember(const LoyaltyWork& work, const MemberKey& member) {
  const ProgramKey key{member.tenant, member.program};
  const Program* program = work.FindProgram(key);
  if (program == nullptr) return error::NotFound(NameOf(key));
  if (const auto into = MergedInto(work, member)) return Moved(*into);
  const Member* known = work.FindMember(member);
  if (known != nullptr && known->erased) {
    return error::Precondition("MEMBER_ERASED", "member: the person was erased");
  }
  if (!Admits(work, *program, member)) return error::NotFound(NameOf(member));
  return program;
}

// Moves an order that there is.
template <class Resp>
struct OrderMutation {
  journal::MutationInfo info;
  OrderKey key;
  std::string etag_field = "etag";
  std::string etag;
  OrderWork::Use use;
  bool dry_run = false;
  std::function<absl::StatusOr<Resp>(LoyaltyWork&, journal::Recorder&, const Program&,
                                     const MemberKey&, Order)>
      apply;
};

template <class Resp>
void RunOnOrder(const OrderHandlers::Parts& parts, const rpc::Call& call, OrderMutation<Resp> order,
                rpc::Reply<Resp> reply) {
  // Whose shard it is under; if that is another one by then, the mutation begins again.
  const auto known = parts.reader->Get(order.key, call.deadline);
  if (!known.ok()) return reply(known.status());
  if (!known->contact) return reply(OrderErased());
  MemberMutation<Resp> mutation;
  mutation.info = std::move(order.info);
  mutation.member = {order.key.tenant, order.key.program, OwnerOf(*known)};
  mutation.rehearsal = order.dry_run;
  // Its own besides: while a merge is heard of, somebody else may look for it under the other name.
  mutation.info.shards.set(ShardOf(order.key.tenant, absl::string_view(NameOf(order.key))));
  mutation.declare = [key = order.key, use = order.use](LoyaltyWork& work,
                                                        const MemberKey& member) {
    work.NeedProgram({member.tenant, member.program});
    work.NeedMember(member);
    work.orders().Need(key, member, use);
  };
  mutation.apply = [order = std::move(order)](LoyaltyWork& work, journal::Recorder& recorder,
                                              const MemberKey& member) -> absl::StatusOr<Resp> {
    const Order* stored = work.orders().Find(order.key);
    if (stored == nullptr) return error::NotFound(NameOf(order.key));
    if (!stored->contact) return OrderErased();
    const Uuid owner = OwnerOf(*stored);
    if (owner != member.contact) return Moved(owner);
    CLM_ASSIGN_OR_RETURN(const Program* program, CheckMember(work, member));
    Order now = *stored;
    now.contact = owner;
    CLM_RETURN_IF_ERROR(CheckEtag(order.etag_field, order.etag, now.version));
    return order.apply(work, recorder, *program, member, std::move(now));
  };
  RunOnMember(*parts.lanes, std::move(mutation), std::move(reply));
}

template <class Req>
PostingNote NoteOf(const rpc::Call& call, const Req& request, const OrderKey& key) {
  PostingNote note;
  note.reason = request.reason().empty() ? absl::StrCat("order ", key.id) : request.reason();
  note.actor = call.caller.actor;
  note.order = key.id;
  return note;
}

// The return with the id, if the order has it. ALREADY_EXISTS when it was of other units.
absl::StatusOr<bool> HasReturn(const Order& order, const std::string& id,
                               const ReturnedUnits& units) {
  for (const OrderReturn& back : order.returns) {
    if (back.id != id) continue;
    if (back.lines == units) return true;
    return error::Make(absl::StatusCode::kAlreadyExists, "RETURN_ID_REUSED",
                       "return_id: was used for the return of other units");
  }
  return false;
}

}  // namespace

void OrderHandlers::CreateOrder(const rpc::Call& call, const v1::CreateOrderRequest& request,
                                rpc::Reply<v1::Order> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  const OrderKey key{
      program->tenant, program->program,
      request.order_id().empty() ? Uuid::V7(call.now).ToString() : request.order_id()};
  const v1::Order& wire = request.order();
  error::FieldErrors errors;
  if (!wire.name().empty() && wire.name() != NameOf(key)) {
    errors.Add("order.name", absl::StrCat("must be empty, or ", NameOf(key)));
  }
  auto member = ParseMemberName("order.member", wire.member());
  errors.AddStatus("", member.status());
  if (member.ok() && (member->tenant != key.tenant || member->program != key.program)) {
    errors.Add("order.member", "is of another programme than the parent");
  }
  Order order;
  order.key = key;
  TermsFromProto(wire, order);
  errors.AddStatus("", ValidateOrder(order));
  if (!errors.empty()) return reply(errors.ToStatus());
  MemberMutation<v1::Order> mutation;
  mutation.info = journal::InfoFor(call, key.tenant, request);
  mutation.info.shards.set(ShardOf(key.tenant, absl::string_view(NameOf(key))));
  mutation.member = *std::move(member);
  mutation.rehearsal = request.dry_run();
  mutation.declare = [key, close = request.close()](LoyaltyWork& work, const MemberKey& m) {
    work.NeedProgram({m.tenant, m.program});
    work.NeedMember(m);
    work.orders().Need(key, m, {.earns = close});
  };
  mutation.apply = [order = std::move(order), close = request.close(), actor = call.caller.actor](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::Order> {
    if (work.orders().Find(order.key) != nullptr) {
      return error::Make(absl::StatusCode::kAlreadyExists, "ORDER_EXISTS",
                         absl::StrCat("order_id: '", order.key.id, "' exists already"),
                         {{"order", NameOf(order.key)}});
    }
    CLM_ASSIGN_OR_RETURN(const Program* terms, CheckMember(work, m));
    Order made = order;
    made.contact = m.contact;
    made.create_time = recorder.now();
    v1::Order opened = Keep(work, recorder, OrderChanged::CHANGE_OPENED, made);
    if (!close) return opened;
    made = *work.orders().Find(order.key);
    CLM_RETURN_IF_ERROR(loyalty::CloseOrder(work, recorder, *terms, m, actor, made).status());
    return Keep(work, recorder, OrderChanged::CHANGE_CLOSED, std::move(made));
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

absl::StatusOr<v1::Order> OrderHandlers::GetOrder(const rpc::Call& call,
                                                  const v1::GetOrderRequest& request) {
  CLM_ASSIGN_OR_RETURN(const OrderKey key, ParseOrderName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const Order order, parts_.reader->Get(key, call.deadline));
  return ToProto(order);
}

absl::StatusOr<v1::ListOrdersResponse> OrderHandlers::ListOrders(
    const rpc::Call& call, const v1::ListOrdersRequest& request) {
  OrderReader::Query query;
  CLM_ASSIGN_OR_RETURN(query.program, ParseProgramName("parent", request.parent()));
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("member", request.member()));
    if (member.tenant != query.program.tenant || member.program != query.program.program) {
      return error::InvalidField("member", "is of another programme than the parent");
    }
    query.member = member.contact;
  }
  query.filter = request.filter();
  query.now = call.now;
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListOrders", request.parent(), request.member(),
                                         request.filter()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  int64_t micros = 0;
  if (last.size() == 2 && absl::SimpleAtoi(last[0], &micros)) {
    query.before = {absl::FromUnixMicros(micros), last[1]};
  }
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(auto orders, parts_.reader->List(query, call.deadline));
  v1::ListOrdersResponse response;
  const bool more = static_cast<int>(orders.size()) > size;
  if (more) orders.resize(size);
  for (const Order& order : orders) *response.add_orders() = ToProto(order);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(
        list, {absl::StrCat(absl::ToUnixMicros(orders.back().create_time)), orders.back().key.id}));
  }
  return response;
}

void OrderHandlers::UpdateOrder(const rpc::Call& call, const v1::UpdateOrderRequest& request,
                                rpc::Reply<v1::Order> reply) {
  const auto key = ParseOrderName("order.name", request.order().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.order());
  if (!paths.ok()) return reply(paths.status());
  OrderMutation<v1::Order> update;
  update.info = journal::InfoFor(call, key->tenant, request);
  update.key = *key;
  update.etag_field = "order.etag";
  update.etag = request.order().etag();
  update.apply = [paths = *std::move(paths), patch = request.order()](
                     LoyaltyWork& work, journal::Recorder& recorder, const Program&,
                     const MemberKey&, Order order) -> absl::StatusOr<v1::Order> {
    if (order.state != OrderState::kOpen) {
      const std::string allowed = MovesFrom(order.state);
      return error::Precondition(
          "ORDER_STATE",
          absl::StrCat("an order that is ", Name(order.state), " does not change; it can become ",
                       allowed.empty() ? "nothing else" : allowed),
          {{"from", std::string(Name(order.state))}, {"allowed", allowed}});
    }
    v1::Order wire = ToProto(order);
    rpc::ApplyMask(paths, patch, wire);
    TermsFromProto(wire, order);
    CLM_RETURN_IF_ERROR(ValidateOrder(order));
    return Keep(work, recorder, OrderChanged::CHANGE_UPDATED, std::move(order));
  };
  RunOnOrder(parts_, call, std::move(update), std::move(reply));
}

void OrderHandlers::CloseOrder(const rpc::Call& call, const v1::CloseOrderRequest& request,
                               rpc::Reply<v1::CloseOrderResponse> reply) {
  const auto key = ParseOrderName("name", request.name());
  if (!key.ok()) return reply(key.status());
  OrderMutation<v1::CloseOrderResponse> close;
  close.info = journal::InfoFor(call, key->tenant, request);
  close.key = *key;
  close.etag = request.etag();
  close.use = {.earns = true};
  close.dry_run = request.dry_run();
  close.apply = [actor = call.caller.actor](LoyaltyWork& work, journal::Recorder& recorder,
                                            const Program& program, const MemberKey& member,
                                            Order order) -> absl::StatusOr<v1::CloseOrderResponse> {
    CLM_RETURN_IF_ERROR(MoveOrder(order.state, OrderState::kClosed).status());
    CLM_ASSIGN_OR_RETURN(const std::vector<EarnOutcome> outcomes,
                         loyalty::CloseOrder(work, recorder, program, member, actor, order));
    v1::CloseOrderResponse response;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      if (!program.earn_rules[i].rule.event_type.empty()) continue;
      v1::OrderOutcome* outcome = response.add_outcomes();
      outcome->set_rule(outcomes[i].rule_id);
      outcome->set_points(outcomes[i].points);
      outcome->set_cut_by_cap(outcomes[i].cut_by_cap);
      outcome->set_explanation(outcomes[i].explanation);
    }
    *response.mutable_order() = Keep(work, recorder, OrderChanged::CHANGE_CLOSED, std::move(order));
    return response;
  };
  RunOnOrder(parts_, call, std::move(close), std::move(reply));
}

void OrderHandlers::CancelOrder(const rpc::Call& call, const v1::CancelOrderRequest& request,
                                rpc::Reply<v1::Order> reply) {
  const auto key = ParseOrderName("name", request.name());
  if (!key.ok()) return reply(key.status());
  OrderMutation<v1::Order> cancel;
  cancel.info = journal::InfoFor(call, key->tenant, request);
  cancel.key = *key;
  cancel.etag = request.etag();
  cancel.use = {.takes_back = true};
  cancel.dry_run = request.dry_run();
  cancel.apply = [note = NoteOf(call, request, *key)](
                     LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                     const MemberKey& member, Order order) -> absl::StatusOr<v1::Order> {
    CLM_ASSIGN_OR_RETURN(const OrderEffect effect, MoveOrder(order.state, OrderState::kCancelled));
    if (effect == OrderEffect::kTakeBackAll) {
      CLM_RETURN_IF_ERROR(TakeBackUnits(work, recorder, program, member, UnitsLeft(order),
                                        std::nullopt, note, order)
                              .status());
    }
    order.state = OrderState::kCancelled;
    return Keep(work, recorder, OrderChanged::CHANGE_CANCELLED, std::move(order));
  };
  RunOnOrder(parts_, call, std::move(cancel), std::move(reply));
}

void OrderHandlers::ReturnOrderLines(const rpc::Call& call,
                                     const v1::ReturnOrderLinesRequest& request,
                                     rpc::Reply<v1::Order> reply) {
  const auto key = ParseOrderName("name", request.name());
  if (!key.ok()) return reply(key.status());
  ReturnedUnits units;
  for (const v1::ReturnedUnits& line : request.lines()) {
    units.emplace_back(line.line_id(), line.quantity());
  }
  OrderMutation<v1::Order> take;
  take.info = journal::InfoFor(call, key->tenant, request);
  take.key = *key;
  take.use = {.takes_back = true};
  take.dry_run = request.dry_run();
  take.apply = [note = NoteOf(call, request, *key), units = std::move(units), etag = request.etag(),
                id = request.return_id()](LoyaltyWork& work, journal::Recorder& recorder,
                                          const Program& program, const MemberKey& member,
                                          Order order) -> absl::StatusOr<v1::Order> {
    if (!id.empty()) {
      CLM_ASSIGN_OR_RETURN(const bool told, HasReturn(order, id, units));
      if (told) return ToProto(order);
    }
    CLM_RETURN_IF_ERROR(CheckEtag("etag", etag, order.version));
    CLM_RETURN_IF_ERROR(MoveOrder(order.state, OrderState::kPartiallyReturned).status());
    CLM_ASSIGN_OR_RETURN(const std::vector<UnitsBack> back, PlanReturn(order, units));
    CLM_ASSIGN_OR_RETURN(const PointsTaken taken, TakeBackUnits(work, recorder, program, member,
                                                                back, std::nullopt, note, order));
    for (const UnitsBack& of : back) order.lines[of.line].returned = of.after;
    order.returns.push_back({id.empty() ? Uuid::V7(recorder.now()).ToString() : id, units,
                             recorder.now(), taken.taken, taken.not_taken});
    order.state = OrderState::kPartiallyReturned;
    return Keep(work, recorder, OrderChanged::CHANGE_RETURNED, std::move(order));
  };
  RunOnOrder(parts_, call, std::move(take), std::move(reply));
}

void OrderHandlers::ReopenOrder(const rpc::Call& call, const v1::ReopenOrderRequest& request,
                                rpc::Reply<v1::Order> reply) {
  const auto key = ParseOrderName("name", request.name());
  if (!key.ok()) return reply(key.status());
  OrderMutation<v1::Order> reopen;
  reopen.info = journal::InfoFor(call, key->tenant, request);
  reopen.key = *key;
  reopen.etag = request.etag();
  reopen.use = {.takes_back = true};
  reopen.dry_run = request.dry_run();
  reopen.apply = [note = NoteOf(call, request, *key)](
                     LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                     const MemberKey& member, Order order) -> absl::StatusOr<v1::Order> {
    CLM_RETURN_IF_ERROR(MoveOrder(order.state, OrderState::kOpen).status());
    // Whatever were left to the member would be earned again when it closes.
    CLM_RETURN_IF_ERROR(TakeBackUnits(work, recorder, program, member, UnitsLeft(order),
                                      ReturnPolicy::kUnlimited, note, order)
                            .status());
    order.earnings.clear();
    order.earned_by = std::nullopt;
    order.state = OrderState::kOpen;
    return Keep(work, recorder, OrderChanged::CHANGE_REOPENED, std::move(order));
  };
  RunOnOrder(parts_, call, std::move(reopen), std::move(reply));
}

}  // namespace clm::loyalty
