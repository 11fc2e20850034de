#include "tools/clm/models_command.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using lifecycle::v1::CanonicalStage;
using lifecycle::v1::CanonicalStage_Name;
using lifecycle::v1::Stage;
using lifecycle::v1::StageModel;
using Stub = lifecycle::v1::LifecycleService::Stub;

std::string Canonical(CanonicalStage stage) {
  return EnumText("CANONICAL_STAGE_", CanonicalStage_Name(stage));
}

terminal::Table ModelTable(const std::vector<StageModel>& models) {
  terminal::Table table({{"name", "MODEL"},
                         {"display_name", "NAME"},
                         {"policy"},
                         {"version"},
                         {"stages"},
                         {"preset", "", true},
                         {"description", "", true}});
  table.set_empty_text("no stage models; clm models presets shows what can be installed");
  for (const StageModel& m : models) {
    std::vector<std::string> stages;
    for (const Stage& stage : m.stages()) stages.push_back(stage.label());
    table.Add({LastPart(m.name()), m.display_name(),
               EnumText("POLICY_", StageModel::Policy_Name(m.policy())),
               static_cast<int64_t>(m.version()), absl::StrJoin(stages, " > "),
               TextCell(m.preset()), TextCell(m.description())});
  }
  return table;
}

terminal::Table StageTable(const StageModel& model) {
  terminal::Table table({{"name", "STAGE"},
                         {"label"},
                         {"kind"},
                         {"canonical_stage", "MEANS"},
                         {"next"},
                         {"target_days", "TARGET DAYS"},
                         {"entry_condition", "", true},
                         {"exit_condition", "", true},
                         {"description", "", true}});
  for (const Stage& stage : model.stages()) {
    std::vector<std::string> next;
    for (const auto& edge : model.edges()) {
      if (edge.from() == stage.id()) next.push_back(edge.to());
    }
    table.Add({stage.id(), stage.label(), EnumText("KIND_", Stage::Kind_Name(stage.kind())),
               TextCell(Canonical(stage.canonical_stage())), TextCell(absl::StrJoin(next, " ")),
               stage.target_days() > 0 ? terminal::Cell(static_cast<int64_t>(stage.target_days()))
                                       : terminal::Cell(),
               TextCell(stage.entry_condition()), TextCell(stage.exit_condition()),
               TextCell(stage.description())});
  }
  return table;
}

absl::Status ShowModel(Cli& cli, const StageModel& model) {
  return cli.Print({&model}, false, [&] { return StageTable(model); });
}

// A model is shown as its stages, of which there are many.
absl::Status PrintModel(Cli& cli, const StageModel& model) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  if (terminal::IsMessageFormat(format)) return ShowModel(cli, model);
  if (format == terminal::Format::kTable || format == terminal::Format::kWide) {
    std::cout << terminal::Paint(cli.screen(), terminal::Tone::kStrong,
                                 terminal::Printable(absl::StrCat(LastPart(model.name()),
                                                                  ", version ", model.version())))
              << "  " << terminal::Printable(model.description()) << "\n\n";
  }
  terminal::Write(StageTable(model), format, cli.screen(), std::cout);
  return absl::OkStatus();
}

absl::Status Compare(Cli& cli, const std::vector<std::string>& models) {
  lifecycle::v1::CompareModelsRequest request;
  request.set_parent(cli.tenant_name());
  for (const std::string& model : models) request.add_models(model);
  CLM_ASSIGN_OR_RETURN(const lifecycle::v1::CompareModelsResponse response,
                       cli.Call(&Stub::CompareModels, request));
  return cli.PrintReport(response, [&] {
    std::vector<terminal::Column> columns = {{"canonical_stage", "MEANS"}};
    for (const std::string& model : models) columns.push_back({model, model});
    terminal::Table table(columns);
    for (const auto& row : response.rows()) {
      std::vector<terminal::Cell> cells = {Canonical(row.canonical_stage())};
      for (const std::string& model : models) {
        terminal::Cell cell;
        for (const auto& c : row.cells()) {
          if (c.model() == model) cell = absl::StrJoin(c.labels(), ", ");
        }
        cells.push_back(cell);
      }
      table.Add(std::move(cells));
    }
    return table;
  });
}

struct InstallFlags {
  std::string preset, model;
  std::vector<std::string> parameters;
  bool rules = true;
};

absl::Status Install(Cli& cli, const InstallFlags& flags) {
  lifecycle::v1::InstallPresetRequest request;
  request.set_parent(cli.tenant_name());
  request.set_preset(flags.preset);
  request.set_stage_model_id(flags.model);
  request.set_enable_rules(flags.rules);
  CLM_ASSIGN_OR_RETURN(const auto parameters, ParsePairs("--parameter", flags.parameters));
  for (const auto& [key, text] : parameters) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(text, &value)) {
      return error::InvalidField("--parameter", absl::StrCat("'", text, "' is not a whole number"));
    }
    (*request.mutable_parameters())[key] = value;
  }
  CLM_ASSIGN_OR_RETURN(const StageModel model, cli.Call(&Stub::InstallPreset, request));
  return PrintModel(cli, model);
}

absl::Status Publish(Cli& cli, const std::string& file, const std::vector<std::string>& mapping,
                     bool dry_run) {
  lifecycle::v1::PublishStageModelRequest request;
  CLM_RETURN_IF_ERROR(ReadMessage(file, request.mutable_stage_model()));
  CLM_ASSIGN_OR_RETURN(const auto pairs, ParsePairs("--map", mapping));
  for (const auto& [from, to] : pairs) (*request.mutable_mapping())[from] = to;
  request.set_validate_only(dry_run);
  CLM_ASSIGN_OR_RETURN(const lifecycle::v1::PublishStageModelResponse response,
                       cli.Call(&Stub::PublishStageModel, request));
  for (const auto& [stage, count] : response.moved_counts()) {
    cli.Note(absl::StrCat(dry_run ? "would move " : "moved ", count, " customers out of ", stage));
  }
  return PrintModel(cli, response.stage_model());
}

}  // namespace

void AddModelsCommands(Cli& cli) {
  Command group = cli.AddGroup("models", "Stage models: the stages and the moves between them");
  cli.AddCommand(
      group, "list", "List the tenant's models", {"clm models list"}, [&cli]() -> absl::Status {
        lifecycle::v1::ListStageModelsRequest request;
        request.set_parent(cli.tenant_name());
        CLM_ASSIGN_OR_RETURN(
            const std::vector<StageModel> models,
            cli.List(&Stub::ListStageModels, request,
                     &lifecycle::v1::ListStageModelsResponse::stage_models, /*limit=*/0));
        return cli.Print(Pointers(models), true, [&] { return ModelTable(models); });
      });
  cli.AddCommand(group, "presets", "List the models that ship with the suite",
                 {"clm models presets", "clm models presets -o name"}, [&cli]() -> absl::Status {
                   lifecycle::v1::ListPresetsRequest request;
                   request.set_parent(cli.tenant_name());
                   CLM_ASSIGN_OR_RETURN(
                       const std::vector<StageModel> models,
                       cli.List(&Stub::ListPresets, request,
                                &lifecycle::v1::ListPresetsResponse::presets, /*limit=*/0));
                   return cli.Print(Pointers(models), true, [&] { return ModelTable(models); });
                 });
  auto install = std::make_shared<InstallFlags>();
  Command command =
      cli.AddCommand(group, "install", "Make a model from a preset, with its rules",
                     {"clm models install hubspot-eight",
                      "clm models install non-contractual --as shop --parameter at_risk_days=60"},
                     [&cli, install] { return Install(cli, *install); });
  command.AddOption("PRESET", install->preset, "as clm models presets shows it").Required();
  command.AddOption("--as", install->model, "id of the new model; default: the preset's");
  command.AddOption("--parameter", install->parameters, "threshold; may be repeated")
      .TypeName("NAME=DAYS");
  command.AddFlag("--enable-rules,!--no-enable-rules", install->rules,
                  "switch the preset's rules on at once");
  struct GetFlags {
    std::string model;
    int version = 0;
  };
  auto get = std::make_shared<GetFlags>();
  command = cli.AddCommand(group, "get", "Show a model's stages",
                           {"clm models get subscription", "clm models get subscription -o json"},
                           [&cli, get]() -> absl::Status {
                             lifecycle::v1::GetStageModelRequest request;
                             request.set_name(cli.Name("stageModels", get->model));
                             request.set_version(get->version);
                             CLM_ASSIGN_OR_RETURN(const StageModel model,
                                                  cli.Call(&Stub::GetStageModel, request));
                             return PrintModel(cli, model);
                           });
  command.AddOption("MODEL", get->model, "its id").Required();
  command.AddOption("--version", get->version, "an earlier one; 0: the newest").Counts();
  auto compared = std::make_shared<std::vector<std::string>>();
  cli.AddCommand(group, "compare", "Set models or presets side by side by what their stages mean",
                 {"clm models compare hubspot-eight s002-14-decline non-contractual"},
                 [&cli, compared] { return Compare(cli, *compared); })
      .AddOption("MODEL", *compared, "ids of models or presets")
      .Required();
  struct CreateFlags {
    std::string id, file;
    std::vector<std::string> mapping;
    bool dry_run = false;
  };
  auto create = std::make_shared<CreateFlags>();
  command = cli.AddCommand(
      group, "create", "Make a model of your own from JSON",
      {"clm models create mine --from model.json"}, [&cli, create]() -> absl::Status {
        lifecycle::v1::CreateStageModelRequest request;
        request.set_parent(cli.tenant_name());
        request.set_stage_model_id(create->id);
        CLM_RETURN_IF_ERROR(ReadMessage(create->file, request.mutable_stage_model()));
        CLM_ASSIGN_OR_RETURN(const StageModel model, cli.Call(&Stub::CreateStageModel, request));
        return PrintModel(cli, model);
      });
  command.AddOption("MODEL", create->id, "its id").Required();
  command.AddOption("--from", create->file, "JSON file; - for stdin").Required();
  auto publish = std::make_shared<CreateFlags>();
  command = cli.AddCommand(
      group, "publish", "Publish the next version of a model",
      {"clm models get shop -o json > shop.json && clm models publish --from shop.json --dry-run"},
      [&cli, publish] { return Publish(cli, publish->file, publish->mapping, publish->dry_run); });
  command.AddOption("--from", publish->file, "JSON file with name and etag; - for stdin")
      .Required();
  command.AddOption("--map", publish->mapping, "where customers of a stage that goes are put")
      .TypeName("OLD=NEW");
  command.AddFlag("--dry-run", publish->dry_run, "count, change nothing");
}

}  // namespace clm::cli
