#include "tools/clm/loyalty_orders_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/order_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Order;
using Stub = loyalty::v1::OrderService::Stub;

struct OrderFlags {
  std::string program, member, order, currency, from, filter, reason, return_id, request_id;
  std::vector<std::string> lines;
  bool close = false, dry_run = false;
  int64_t limit = 100;
};

// ---- Answers.

terminal::Cell MoneyOf(int64_t minor, const Order& order) {
  return terminal::Cell(terminal::Money{minor, order.currency()});
}

std::string StateText(const Order& order) {
  return EnumText("STATE_", Order::State_Name(order.state()));
}

terminal::Table OrderTable(const Cli& cli, const std::vector<Order>& orders) {
  terminal::Table table({{"name", "ORDER"},
                         {"state"},
                         {"amount"},
                         {"points"},
                         {"taken_back", "TAKEN BACK"},
                         {"not_taken", "NOT TAKEN"},
                         {"member"},
                         {"create_time", "OPENED"},
                         {"close_time", "CLOSED", true}});
  table.set_empty_text("no order");
  for (const Order& order : orders) {
    int64_t points = 0, taken_back = 0, not_taken = 0;
    for (const loyalty::v1::OrderEarning& earning : order.earnings()) {
      points += earning.points();
      taken_back += earning.taken_back();
      not_taken += earning.not_taken();
    }
    table.Add({ShownName(cli, order.name()), StateText(order), MoneyOf(order.amount_minor(), order),
               points, taken_back, not_taken, TextCell(LastPart(order.member())),
               TimeCell(order.has_create_time(), order.create_time()),
               TimeCell(order.has_close_time(), order.close_time())});
  }
  return table;
}

absl::Status ShowOrder(const Cli& cli, const absl::StatusOr<Order>& order) {
  CLM_RETURN_IF_ERROR(order.status());
  return cli.Print({&*order}, false, [&] { return OrderTable(cli, {*order}); });
}

// "3 x 10.00 EUR, 20 points; 1 returned".
std::string LineText(const Order& order, const loyalty::v1::OrderLine& line) {
  const auto money = [&](int64_t minor) { return terminal::MoneyDecimal(minor, order.currency()); };
  std::string text = absl::StrCat(terminal::CountText(line.quantity()), " x ",
                                  money(line.unit_price_minor()), " ", order.currency());
  if (line.discount_minor() > 0) absl::StrAppend(&text, " - ", money(line.discount_minor()));
  for (const loyalty::v1::OrderLinePoints& points : line.points()) {
    absl::StrAppend(&text, ", ", terminal::CountText(points.earned()), " ", points.wallet());
  }
  if (line.returned_quantity() > 0) {
    absl::StrAppend(&text, "; ", terminal::CountText(line.returned_quantity()), " returned");
  }
  return text;
}

absl::Status ShowWhole(const Cli& cli, const Order& order) {
  return cli.PrintReport(order, [&] {
    terminal::Table table({{"field"}, {"value"}});
    const auto add = [&](const std::string& field, const terminal::Cell& value) {
      table.Add({field, value});
    };
    add("name", LastPart(order.name()));
    add("state", StateText(order));
    add("member", order.member_erased() ? "erased" : TextCell(LastPart(order.member())));
    add("amount", MoneyOf(order.amount_minor(), order));
    for (const auto& line : order.lines()) add("line " + line.id(), LineText(order, line));
    for (const auto& earning : order.earnings()) {
      add("rule " + earning.rule(),
          absl::StrCat(terminal::CountText(earning.points()), " ", earning.wallet(), ", ",
                       terminal::CountText(earning.taken_back()), " taken back"));
    }
    for (const auto& back : order.returns()) {
      add("return " + back.return_id(),
          absl::StrCat(terminal::CountText(back.taken_back()), " taken back, ",
                       terminal::CountText(back.not_taken()), " not taken"));
    }
    add("create_time", TimeCell(order.has_create_time(), order.create_time()));
    add("close_time", TimeCell(order.has_close_time(), order.close_time()));
    add("update_time", TimeCell(order.has_update_time(), order.update_time()));
    return table;
  });
}

// ---- What a line means.

absl::StatusOr<std::string> OrderName(Cli& cli, const OrderFlags& flags) {
  if (absl::StartsWith(flags.order, "tenants/")) return flags.order;
  CLM_ASSIGN_OR_RETURN(const std::string parent, ProgramName(cli, flags.program));
  return absl::StrCat(parent, "/orders/", flags.order);
}

absl::StatusOr<int64_t> ParseUnits(absl::string_view text) {
  int64_t units = 0;
  if (absl::SimpleAtoi(text, &units) && units > 0) return units;
  return error::InvalidField("--line", absl::StrCat("'", text, "' is no number of units"));
}

// "mugs=3x10.00" or, less a discount, "mugs=3x10.00-5.00".
absl::Status AddLine(const std::string& id, absl::string_view text, const std::string& currency,
                     Order* order) {
  CLM_ASSIGN_OR_RETURN(const PricedUnits priced, ParsePricedUnits("--line", text, currency));
  loyalty::v1::OrderLine* line = order->add_lines();
  line->set_id(id);
  line->set_sku(id);
  line->set_quantity(priced.units);
  line->set_unit_price_minor(priced.unit_price_minor);
  line->set_discount_minor(priced.discount_minor);
  return absl::OkStatus();
}

// What those have in common that move an order.
template <class Request>
absl::Status FillMove(Cli& cli, const OrderFlags& flags, Request* request) {
  CLM_ASSIGN_OR_RETURN(*request->mutable_name(), OrderName(cli, flags));
  request->set_dry_run(flags.dry_run);
  request->set_request_id(flags.request_id);
  if (flags.dry_run) cli.Note("a rehearsal: nothing changes");
  return absl::OkStatus();
}

// ---- The commands.

absl::Status Create(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::CreateOrderRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  request.set_order_id(flags.order);
  Order* order = request.mutable_order();
  if (!flags.from.empty()) CLM_RETURN_IF_ERROR(ReadMessage(flags.from, order));
  if (order->currency().empty()) order->set_currency(flags.currency);
  CLM_ASSIGN_OR_RETURN(*order->mutable_member(), MemberName(cli, flags.program, flags.member));
  CLM_ASSIGN_OR_RETURN(const auto lines, ParsePairs("--line", flags.lines));
  for (const auto& [id, text] : lines) {
    CLM_RETURN_IF_ERROR(AddLine(id, text, order->currency(), order));
  }
  request.set_close(flags.close);
  request.set_dry_run(flags.dry_run);
  request.set_request_id(flags.request_id);
  if (flags.dry_run) cli.Note("a rehearsal: nothing changes");
  return ShowOrder(cli, cli.Call(&Stub::CreateOrder, request));
}

absl::Status Show(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::GetOrderRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), OrderName(cli, flags));
  CLM_ASSIGN_OR_RETURN(const Order order, cli.Call(&Stub::GetOrder, request));
  return ShowWhole(cli, order);
}

absl::Status List(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::ListOrdersRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  if (!flags.member.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.member));
  }
  request.set_filter(flags.filter);
  CLM_ASSIGN_OR_RETURN(
      const std::vector<Order> orders,
      cli.List(&Stub::ListOrders, request, &loyalty::v1::ListOrdersResponse::orders, flags.limit));
  return cli.Print(Pointers(orders), true, [&] { return OrderTable(cli, orders); });
}

absl::Status Close(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::CloseOrderRequest request;
  CLM_RETURN_IF_ERROR(FillMove(cli, flags, &request));
  CLM_ASSIGN_OR_RETURN(const auto answer, cli.Call(&Stub::CloseOrder, request));
  for (const loyalty::v1::OrderOutcome& outcome : answer.outcomes()) {
    cli.Note(absl::StrCat("rule ", outcome.rule(), ": ", outcome.explanation()));
  }
  return ShowOrder(cli, answer.order());
}

absl::Status Cancel(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::CancelOrderRequest request;
  CLM_RETURN_IF_ERROR(FillMove(cli, flags, &request));
  request.set_reason(flags.reason);
  return ShowOrder(cli, cli.Call(&Stub::CancelOrder, request));
}

absl::Status Return(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::ReturnOrderLinesRequest request;
  CLM_RETURN_IF_ERROR(FillMove(cli, flags, &request));
  request.set_reason(flags.reason);
  request.set_return_id(flags.return_id);
  CLM_ASSIGN_OR_RETURN(const auto lines, ParsePairs("--line", flags.lines));
  for (const auto& [id, text] : lines) {
    loyalty::v1::ReturnedUnits* units = request.add_lines();
    units->set_line_id(id);
    CLM_ASSIGN_OR_RETURN(const int64_t quantity, ParseUnits(text));
    units->set_quantity(quantity);
  }
  return ShowOrder(cli, cli.Call(&Stub::ReturnOrderLines, request));
}

absl::Status Reopen(Cli& cli, const OrderFlags& flags) {
  loyalty::v1::ReopenOrderRequest request;
  CLM_RETURN_IF_ERROR(FillMove(cli, flags, &request));
  request.set_reason(flags.reason);
  return ShowOrder(cli, cli.Call(&Stub::ReopenOrder, request));
}

// ---- The lines.

// A command and the flags that it fills.
struct OrderCommand {
  Command command;
  std::shared_ptr<OrderFlags> flags;

  void Order() const {
    command.AddOption("ORDER", flags->order, "the shop's number, or the full name").Required();
  }
  void Reason() const { command.AddOption("--reason", flags->reason, "why; kept with the points"); }
  void DryRun() const {
    command.AddFlag("--dry-run", flags->dry_run, "answer as if it had happened; change nothing");
    AddRequestIdOption(command, flags->request_id);
  }
};

OrderCommand Add(Cli& cli, Command group, const char* name, const char* description,
                 const std::vector<std::string>& examples,
                 absl::Status (*run)(Cli&, const OrderFlags&)) {
  auto flags = std::make_shared<OrderFlags>();
  flags->currency = "EUR";
  OrderCommand made{cli.AddCommand(group, name, description, examples,
                                   [&cli, flags, run] { return run(cli, *flags); }),
                    flags};
  AddProgramOption(made.command, flags->program);
  return made;
}

void AddMoves(Cli& cli, Command group) {
  OrderCommand made = Add(cli, group, "close", "Close an order: it earns",
                          {"clm loyalty orders close 1042 --dry-run"}, &Close);
  made.Order();
  made.DryRun();

  made = Add(cli, group, "cancel", "Cancel an order for ever, and take back what is left of it",
             {"clm loyalty orders cancel 1042 --reason 'not paid'"}, &Cancel);
  made.Order();
  made.Reason();
  made.DryRun();

  made = Add(cli, group, "return", "Take back what units earned that came back",
             {"clm loyalty orders return 1042 --line mugs=1 --return-id rma-9"}, &Return);
  made.Order();
  made.command
      .AddOption("--line", made.flags->lines, "which line, and how many units; may be repeated")
      .TypeName("ID=UNITS")
      .Required();
  made.command.AddOption("--return-id", made.flags->return_id,
                         "your own id of the return: never counts twice");
  made.Reason();
  made.DryRun();

  made = Add(cli, group, "reopen",
             "Open a closed order again; all that it earned goes back, as a debt if it is spent",
             {"clm loyalty orders reopen 1042 --reason 'one more mug'"}, &Reopen);
  made.Order();
  made.Reason();
  made.DryRun();
}

}  // namespace

void AddLoyaltyOrdersCommands(Cli& cli, Command loyalty) {
  const Command group =
      loyalty.AddGroup("orders", "Orders of shops: what they earn, and what came back");
  OrderCommand made =
      Add(cli, group, "create", "Open an order, and close it at once if it is paid",
          {"clm loyalty orders create 1042 ada@example.com --line mugs=3x10.00 "
           "--line bags=1x20.00-5.00",
           "clm loyalty orders create 1043 ada@example.com --from order.json --close"},
          &Create);
  made.command.AddOption("ORDER", made.flags->order, "the shop's number, for ever").Required();
  made.command.AddOption("CONTACT", made.flags->member, kContactHelp).Required();
  made.command
      .AddOption("--line", made.flags->lines,
                 "what was bought, how often, and what one costs, less a discount for all of "
                 "them: mugs=3x10.00-5.00; may be repeated")
      .TypeName("ID=UNITSxPRICE");
  made.command
      .AddOption("--from", made.flags->from,
                 "a file with an Order as JSON, - for stdin: with categories and taxes")
      .TypeName("FILE");
  made.command.AddOption("--currency", made.flags->currency, "of all amounts").ShowDefault();
  made.command.AddFlag("--close", made.flags->close, "it earns at once");
  made.DryRun();

  made = Add(cli, group, "show", "Show an order, what each line brought and what came back",
             {"clm loyalty orders show 1042", "clm loyalty orders show 1042 -o json"}, &Show);
  made.Order();

  made = Add(cli, group, "list", "List orders, newest first",
             {"clm loyalty orders list --member ada@example.com",
              "clm loyalty orders list --filter 'state = OPEN' --limit 0 -o csv"},
             &List);
  made.command.AddOption("--member", made.flags->member, kContactHelp).TypeName("CONTACT");
  made.command.AddOption("--filter", made.flags->filter,
                         "state = CLOSED AND amount_minor > 10000, over times too");
  made.command.AddOption("--limit", made.flags->limit, "most to show; 0: all")
      .Counts()
      .ShowDefault();

  AddMoves(cli, group);
}

}  // namespace clm::cli
