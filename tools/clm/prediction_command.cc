#include "tools/clm/prediction_command.h"

#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clm/lifecycle/v1/prediction_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/prediction_plot.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using lifecycle::v1::CustomerPrediction;
using lifecycle::v1::ListCustomerPredictionsRequest;
using lifecycle::v1::PredictionModel;
using PredictionStub = lifecycle::v1::PredictionService::Stub;

// A fit reads all purchases of the tenant.
constexpr absl::Duration kFitTimeout = absl::Minutes(10);

struct PredictFlags {
  std::string id, kind = "bg-nbd", unit = "week", end, property, product, currency, order = "value";
  std::string contact, file;
  int holdout_days = 0, horizon_days = 0;
  int64_t limit = 20;
};

std::string ShortName(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::string KindText(const PredictionModel& model) {
  const std::string name = PredictionModel::Kind_Name(model.kind());
  return absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(name.find('_') + 1)), {{"_", "-"}});
}
std::string UnitText(const PredictionModel& model) {
  const std::string name = PredictionModel::TimeUnit_Name(model.time_unit());
  return absl::AsciiStrToLower(name.substr(name.rfind('_') + 1));
}

terminal::Table ParameterTable(const PredictionModel& model) {
  terminal::Table table({{"part"}, {"parameter"}, {"value"}, {"standard_error", "STD ERROR"}});
  const auto add = [&](const char* part, const PredictionModel::Fit& fit) {
    for (const auto& each : fit.parameters()) {
      table.Add({part, each.name(), each.value(), each.standard_error()});
    }
  };
  add("purchases", model.purchases());
  if (model.has_spend()) add("spend", model.spend());
  return table;
}

// What the parameters stand on, for people.
void Tell(const Cli& cli, const PredictionModel& model) {
  cli.Note(absl::StrCat(KindText(model), " per ", UnitText(model), " up to ", model.end_date(),
                        ": ", terminal::CountText(model.purchases().customers()),
                        " customers, log-likelihood ",
                        terminal::NumberText(model.purchases().log_likelihood()), ", gradient ",
                        model.purchases().gradient_norm(), " after ",
                        model.purchases().iterations(), " evaluations"));
  if (!model.spend_problem().empty()) {
    cli.Note(absl::StrCat("no model of the spend: ", model.spend_problem()));
  }
  if (!model.has_holdout()) {
    cli.Note(absl::StrCat("no comparison: ", model.holdout_problem()));
    return;
  }
  cli.Note(absl::StrCat("held out after ", model.holdout().calibration_end_date(), ": ",
                        terminal::CountText(model.holdout().actual_purchases()),
                        " purchases, expected ",
                        terminal::NumberText(model.holdout().expected_purchases(), 0)));
}

absl::Status ShowModel(Cli& cli, const PredictionModel& model) {
  Tell(cli, model);
  return cli.PrintReport(model, [&] { return ParameterTable(model); });
}

absl::StatusOr<PredictionModel> GetModel(Cli& cli, const std::string& id) {
  lifecycle::v1::GetPredictionModelRequest request;
  request.set_name(cli.Name("predictionModels", id));
  return cli.Call(&PredictionStub::GetPredictionModel, request);
}

absl::Status FitModel(Cli& cli, const PredictFlags& flags) {
  lifecycle::v1::CreatePredictionModelRequest request;
  request.set_parent(cli.tenant_name());
  request.set_prediction_model_id(flags.id);
  PredictionModel& model = *request.mutable_prediction_model();
  PredictionModel::Kind kind = PredictionModel::KIND_UNSPECIFIED;
  PredictionModel::TimeUnit unit = PredictionModel::TIME_UNIT_UNSPECIFIED;
  const auto constant = [](const char* prefix, const std::string& text) {
    return absl::StrCat(prefix, absl::AsciiStrToUpper(absl::StrReplaceAll(text, {{"-", "_"}})));
  };
  if (!PredictionModel::Kind_Parse(constant("KIND_", flags.kind), &kind)) {
    return error::InvalidField("--kind", "must be bg-nbd, mbg-nbd or pareto-nbd");
  }
  if (!PredictionModel::TimeUnit_Parse(constant("TIME_UNIT_", flags.unit), &unit)) {
    return error::InvalidField("--unit", "must be day, week or month");
  }
  model.set_kind(kind);
  model.set_time_unit(unit);
  model.set_end_date(flags.end);
  model.set_product_property(flags.property);
  model.set_product(flags.product);
  model.set_currency(flags.currency);
  model.set_holdout_days(flags.holdout_days);
  CLM_ASSIGN_OR_RETURN(const PredictionModel made,
                       cli.Call(&PredictionStub::CreatePredictionModel, request, kFitTimeout));
  return ShowModel(cli, made);
}

absl::Status ListModels(Cli& cli, const PredictFlags& flags) {
  lifecycle::v1::ListPredictionModelsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<PredictionModel> models,
      cli.List(&PredictionStub::ListPredictionModels, request,
               &lifecycle::v1::ListPredictionModelsResponse::prediction_models, flags.limit));
  return cli.Print(Pointers(models), true, [&] {
    terminal::Table table({{"name", "MODEL"},
                           {"kind"},
                           {"end_date", "UP TO"},
                           {"customers"},
                           {"held_out", "HELD OUT"},
                           {"expected"}});
    table.set_empty_text("no models; fit one with clm insights predict fit ID");
    for (const PredictionModel& model : models) {
      table.Add({ShortName(model.name()), KindText(model), model.end_date(),
                 model.purchases().customers(), model.holdout().actual_purchases(),
                 model.holdout().expected_purchases()});
    }
    return table;
  });
}

terminal::Table CustomerTable(const std::vector<CustomerPrediction>& customers) {
  terminal::Table table({{"name", "CONTACT"},
                         {"p_alive", "STILL BUYS"},
                         {"expected_purchases", "EXPECTED"},
                         {"value"},
                         {"expected_spend", "PER PURCHASE", true},
                         {"frequency", "REPEATS"},
                         {"recency_days", "", true},
                         {"age_days", "", true}});
  table.set_empty_text("nobody");
  for (const CustomerPrediction& each : customers) {
    const auto money = [&](bool has, int64_t minor) {
      return has ? terminal::Cell(terminal::Money{minor, each.currency()}) : terminal::Cell();
    };
    table.Add({ShortName(each.contact()), terminal::Share{each.p_alive()},
               each.expected_purchases(), money(each.has_value_minor(), each.value_minor()),
               money(each.has_expected_spend_minor(), each.expected_spend_minor()),
               each.frequency(), each.recency_days(), each.age_days()});
  }
  return table;
}

absl::Status ListCustomers(Cli& cli, const PredictFlags& flags) {
  ListCustomerPredictionsRequest request;
  request.set_parent(cli.Name("predictionModels", flags.id));
  request.set_order(flags.order == "risk" ? ListCustomerPredictionsRequest::ORDER_AT_RISK
                                          : ListCustomerPredictionsRequest::ORDER_VALUE);
  request.set_horizon_days(flags.horizon_days);
  request.set_end_date(flags.end);
  CLM_ASSIGN_OR_RETURN(
      const std::vector<CustomerPrediction> customers,
      cli.List(&PredictionStub::ListCustomerPredictions, request,
               &lifecycle::v1::ListCustomerPredictionsResponse::customer_predictions, flags.limit));
  return cli.Print(Pointers(customers), true, [&] { return CustomerTable(customers); });
}

absl::Status ShowCustomer(Cli& cli, const PredictFlags& flags) {
  lifecycle::v1::GetCustomerPredictionRequest request;
  request.set_model(cli.Name("predictionModels", flags.id));
  CLM_ASSIGN_OR_RETURN(const std::string contact, cli.ContactName(flags.contact));
  request.set_contact(contact);
  request.set_horizon_days(flags.horizon_days);
  request.set_end_date(flags.end);
  CLM_ASSIGN_OR_RETURN(const CustomerPrediction customer,
                       cli.Call(&PredictionStub::GetCustomerPrediction, request));
  return cli.Print({&customer}, false, [&] { return CustomerTable({customer}); });
}

absl::Status PlotModel(Cli& cli, const PredictFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const PredictionModel model, GetModel(cli, flags.id));
  CLM_ASSIGN_OR_RETURN(const std::string picture, PredictionPlot(model));
  if (flags.file == "-") {
    std::cout << picture;
    return absl::OkStatus();
  }
  const std::string path = flags.file.empty() ? ShortName(model.name()) + ".svg" : flags.file;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << picture;
  file.close();
  if (!file) return error::InvalidField("--file", absl::StrCat("cannot write ", path));
  cli.Note(absl::StrCat("wrote ", path));
  return absl::OkStatus();
}

}  // namespace

void AddPredictionCommands(Cli& cli, Command insights) {
  Command group = insights.AddGroup("predict", "What customers will do, by models one can check");
  const auto command = [&](const char* name, const char* description,
                           const std::vector<std::string>& examples,
                           absl::Status (*run)(Cli&, const PredictFlags&),
                           const std::shared_ptr<PredictFlags>& flags) {
    return cli.AddCommand(group, name, description, examples,
                          [&cli, flags, run] { return run(cli, *flags); });
  };
  const char* const kModelHelp = "id of the model";
  const char* const kHorizonHelp = "days to look ahead; 365 when not given";
  const char* const kEndHelp = "last day of the purchases, 2026-11-01";

  auto fit = std::make_shared<PredictFlags>();
  Command c =
      command("fit", "Fit a model to the purchases, and compare it with some it did not see",
              {"clm insights predict fit spring",
               "clm insights predict fit autumn --kind pareto-nbd --holdout-days 90",
               "clm insights predict fit sampler --property product --product sampler"},
              &FitModel, fit);
  c.AddOption("MODEL", fit->id, "id of the new model; a later fit needs another one").Required();
  c.AddOption("--kind", fit->kind, "how customers leave")
      .OneOf({"bg-nbd", "mbg-nbd", "pareto-nbd"})
      .ShowDefault();
  c.AddOption("--unit", fit->unit, "of the parameters that are times")
      .OneOf({"day", "week", "month"})
      .ShowDefault();
  c.AddOption("--end", fit->end, "last day of the purchases; yesterday when not given");
  c.AddOption("--holdout-days", fit->holdout_days,
              "days at the end that it is compared with; a third of the history when not given")
      .Between(1, 3650);
  c.AddOption("--property", fit->property, "only purchases that have this property ...");
  c.AddOption("--product", fit->product, "... with this value");
  c.AddOption("--currency", fit->currency, "of the amounts; the one most have when not given");

  auto list = std::make_shared<PredictFlags>();
  c = command("list", "List the models", {"clm insights predict list"}, &ListModels, list);
  c.AddOption("--limit", list->limit, "most to show; 0: all").Counts().ShowDefault();

  auto show = std::make_shared<PredictFlags>();
  c = command(
      "show", "Parameters of a model, how sure they are, and how it did",
      {"clm insights predict show spring", "clm insights predict show spring -o json"},
      [](Cli& one, const PredictFlags& flags) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const PredictionModel model, GetModel(one, flags.id));
        return ShowModel(one, model);
      },
      show);
  c.AddOption("MODEL", show->id, kModelHelp).Required();

  auto customers = std::make_shared<PredictFlags>();
  c = command(
      "customers", "The most valuable customers, or those about to be lost",
      {"clm insights predict customers spring",
       "clm insights predict customers spring --order-by risk --horizon-days 90 --limit 10"},
      &ListCustomers, customers);
  c.AddOption("MODEL", customers->id, kModelHelp).Required();
  c.AddOption("--order-by", customers->order, "who comes first")
      .OneOf({"value", "risk"})
      .ShowDefault();
  c.AddOption("--horizon-days", customers->horizon_days, kHorizonHelp).Between(1, 365);
  c.AddOption("--end", customers->end, kEndHelp);
  c.AddOption("--limit", customers->limit, "most to show; 0: all").Counts().ShowDefault();

  auto customer = std::make_shared<PredictFlags>();
  c = command("customer", "What a model says of one customer",
              {"clm insights predict customer spring ada@example.com --horizon-days 90"},
              &ShowCustomer, customer);
  c.AddOption("MODEL", customer->id, kModelHelp).Required();
  c.AddOption("CONTACT", customer->contact, "e-mail address, phone number, id or TYPE:VALUE")
      .Required();
  c.AddOption("--horizon-days", customer->horizon_days, kHorizonHelp).Between(1, 365);
  c.AddOption("--end", customer->end, kEndHelp);

  auto plot = std::make_shared<PredictFlags>();
  c = command("plot", "Draw purchases as they came and as they were expected (SVG)",
              {"clm insights predict plot spring --file spring.svg",
               "clm insights predict plot spring --file - > spring.svg"},
              &PlotModel, plot);
  c.AddOption("MODEL", plot->id, kModelHelp).Required();
  c.AddOption("--file", plot->file, "where to; MODEL.svg when not given, - for the screen");
}

}  // namespace clm::cli
