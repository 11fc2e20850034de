#include "tools/clm/feedback_scores_command.h"

#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clm/feedback/v1/score_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"
#include "tools/terminal/chart.h"

namespace clm::cli {
namespace {

using feedback::v1::Ces;
using feedback::v1::Csat;
using feedback::v1::GetScoreRequest;
using feedback::v1::Nps;
using feedback::v1::ScoreValue;
using Stub = feedback::v1::ScoreService::Stub;

struct ScoreFlags {
  std::string survey, question, start, end, dimension, by;
};

absl::StatusOr<GetScoreRequest> RequestOf(const Cli& cli, const ScoreFlags& flags) {
  GetScoreRequest request;
  request.set_survey(cli.Name("surveys", flags.survey));
  request.set_question(flags.question);
  request.set_start_date(flags.start);
  request.set_end_date(flags.end);
  request.set_dimension(flags.dimension);
  if (flags.by == "day") request.set_interval(GetScoreRequest::INTERVAL_DAY);
  if (flags.by == "week") request.set_interval(GetScoreRequest::INTERVAL_WEEK);
  if (flags.by == "month") request.set_interval(GetScoreRequest::INTERVAL_MONTH);
  return request;
}

// "9.5 ± 12.5"; nothing where nobody answered.
terminal::Cell ScoreCell(bool has, const ScoreValue& score) {
  return has ? terminal::Cell(score.shown()) : terminal::Cell();
}
terminal::Cell WidthCell(bool has, const ScoreValue& score) {
  return has ? terminal::Cell(absl::StrFormat("%.1f", score.half_width())) : terminal::Cell();
}
int64_t CountOf(bool has, const ScoreValue& score) { return has ? score.denominator() : 0; }

// One line of a report: the whole, or an interval.
struct Point {
  std::string start;
  bool has = false;
  ScoreValue score;
};

// The score over time with its interval, for people.
void PrintChart(const Cli& cli, const std::vector<Point>& points) {
  if (points.size() < 2) return;
  terminal::Line line;
  std::vector<std::optional<double>> low, high;
  for (const Point& point : points) {
    if (!point.has) {
      line.values.emplace_back();
      continue;
    }
    line.values.emplace_back(static_cast<double>(point.score.numerator()) /
                             static_cast<double>(point.score.denominator()));
  }
  line.first_label = points.front().start;
  line.last_label = points.back().start;
  std::cout << "\n" << terminal::LineChart(cli.screen(), line);
  for (const Point& point : points) {
    const double value = line.values[low.size()].value_or(0);
    low.emplace_back(point.has ? std::make_optional(value - point.score.half_width())
                               : std::nullopt);
    high.emplace_back(point.has ? std::make_optional(value + point.score.half_width())
                                : std::nullopt);
  }
  std::cout << "95 % from " << terminal::Sparkline(cli.screen(), low) << " to "
            << terminal::Sparkline(cli.screen(), high) << "\n";
}

absl::Status PrintScore(const Cli& cli, const google::protobuf::Message& report,
                        const std::vector<Point>& points,
                        const std::function<terminal::Table()>& table) {
  CLM_RETURN_IF_ERROR(cli.PrintReport(report, table));
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  if (format == terminal::Format::kTable || format == terminal::Format::kWide) {
    PrintChart(cli, points);
  }
  return absl::OkStatus();
}

absl::Status ShowNps(Cli& cli, const ScoreFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const GetScoreRequest request, RequestOf(cli, flags));
  CLM_ASSIGN_OR_RETURN(const auto report, cli.Call(&Stub::GetNps, request));
  std::vector<Point> points;
  for (const auto& point : report.series()) {
    points.push_back({point.start_date(), point.nps().has_score(), point.nps().score()});
  }
  return PrintScore(cli, report, points, [&] {
    terminal::Table table({{"from"},
                           {"nps", "NPS"},
                           {"half_width", "+-"},
                           {"n", "N"},
                           {"promoters"},
                           {"passives"},
                           {"detractors"},
                           {"dismissed"},
                           {"skipped", "", true},
                           {"mean", "MEAN", true}});
    const auto add = [&](const std::string& from, const Nps& nps) {
      table.Add({from, ScoreCell(nps.has_score(), nps.score()),
                 WidthCell(nps.has_score(), nps.score()), CountOf(nps.has_score(), nps.score()),
                 nps.promoters(), nps.passives(), nps.detractors(), nps.dismissed(), nps.skipped(),
                 TextCell(nps.mean())});
    };
    for (const auto& point : report.series()) add(point.start_date(), point.nps());
    add("all", report.total());
    return table;
  });
}

absl::Status ShowCsat(Cli& cli, const ScoreFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const GetScoreRequest request, RequestOf(cli, flags));
  CLM_ASSIGN_OR_RETURN(const auto report, cli.Call(&Stub::GetCsat, request));
  std::vector<Point> points;
  for (const auto& point : report.series()) {
    points.push_back({point.start_date(), point.csat().has_score(), point.csat().score()});
  }
  return PrintScore(cli, report, points, [&] {
    terminal::Table table({{"from"},
                           {"csat", "CSAT %"},
                           {"half_width", "+-"},
                           {"n", "N"},
                           {"satisfied"},
                           {"others"},
                           {"dismissed"},
                           {"skipped", "", true}});
    const auto add = [&](const std::string& from, const Csat& csat) {
      table.Add({from, ScoreCell(csat.has_score(), csat.score()),
                 WidthCell(csat.has_score(), csat.score()), CountOf(csat.has_score(), csat.score()),
                 csat.satisfied(), csat.others(), csat.dismissed(), csat.skipped()});
    };
    for (const auto& point : report.series()) add(point.start_date(), point.csat());
    add("all", report.total());
    return table;
  });
}

absl::Status ShowCes(Cli& cli, const ScoreFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const GetScoreRequest request, RequestOf(cli, flags));
  CLM_ASSIGN_OR_RETURN(const auto report, cli.Call(&Stub::GetCes, request));
  std::vector<Point> points;
  for (const auto& point : report.series()) {
    points.push_back({point.start_date(), point.ces().has_mean(), point.ces().mean()});
  }
  return PrintScore(cli, report, points, [&] {
    terminal::Table table({{"from"},
                           {"mean"},
                           {"half_width", "+-"},
                           {"low_effort_share", "LOW EFFORT %"},
                           {"n", "N"},
                           {"high_effort", "HIGH"},
                           {"neutral"},
                           {"low_effort", "LOW"},
                           {"dismissed"},
                           {"skipped", "", true}});
    const auto add = [&](const std::string& from, const Ces& ces) {
      table.Add({from, ScoreCell(ces.has_mean(), ces.mean()), WidthCell(ces.has_mean(), ces.mean()),
                 ScoreCell(ces.has_share(), ces.share()), CountOf(ces.has_mean(), ces.mean()),
                 ces.high_effort(), ces.neutral(), ces.low_effort(), ces.dismissed(),
                 ces.skipped()});
    };
    for (const auto& point : report.series()) add(point.start_date(), point.ces());
    add("all", report.total());
    return table;
  });
}

absl::Status ShowRqi(Cli& cli, const ScoreFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const GetScoreRequest request, RequestOf(cli, flags));
  CLM_ASSIGN_OR_RETURN(const auto report, cli.Call(&Stub::GetRqi, request));
  return cli.Print({&report}, false, [&] {
    terminal::Table table({{"rqi", "RQI"}, {"half_width", "+-"}, {"customers"}, {"definition"}});
    table.Add({TextCell(report.shown()),
               report.customers() == 0
                   ? terminal::Cell()
                   : terminal::Cell(absl::StrFormat("%.1f", report.half_width())),
               report.customers(), int64_t{report.definition_version()}});
    return table;
  });
}

absl::Status ShowFunnel(Cli& cli, const ScoreFlags& flags) {
  feedback::v1::GetSurveyFunnelRequest request;
  request.set_survey(cli.Name("surveys", flags.survey));
  request.set_start_date(flags.start);
  request.set_end_date(flags.end);
  CLM_ASSIGN_OR_RETURN(const auto funnel, cli.Call(&Stub::GetSurveyFunnel, request));
  return cli.PrintReport(funnel, [&] {
    terminal::Table table({{"step"}, {"people"}, {"stopped", "STOPPED HERE"}});
    table.Add({"invited", funnel.invited()});
    table.Add({"displayed", funnel.displayed()});
    table.Add({"started", funnel.started()});
    for (const auto& question : funnel.questions()) {
      table.Add({"question " + question.question(), question.answered(), question.dropped_off()});
    }
    table.Add({"finished", funnel.finished()});
    table.Add({"dismissed", funnel.dismissed()});
    table.Add({"not invited, asked too often", funnel.dropped()});
    return table;
  });
}

absl::Status Recount(Cli& cli, const ScoreFlags& flags) {
  feedback::v1::RecountScoresRequest request;
  request.set_survey(cli.Name("surveys", flags.survey));
  CLM_ASSIGN_OR_RETURN(const auto recount,
                       cli.Call(&Stub::RecountScores, request, absl::Minutes(5)));
  CLM_RETURN_IF_ERROR(cli.PrintReport(recount, [&] {
    terminal::Table table({{"difference"}});
    table.set_empty_text(
        absl::StrCat("the counters are what ", recount.responses(), " answers add up to"));
    for (const std::string& difference : recount.differences()) table.Add({difference});
    return table;
  }));
  if (recount.differences().empty()) return absl::OkStatus();
  return error::Internal("the counters are not what the answers add up to");
}

}  // namespace

void AddFeedbackScoresCommands(Cli& cli, Command group) {
  const auto flags = std::make_shared<ScoreFlags>();
  const auto add_survey = [flags](Command to) {
    to.AddOption("SURVEY", flags->survey, "id or name").Required();
  };
  const auto add_days = [flags](Command to) {
    to.AddOption("--from", flags->start, "first day, 2026-11-01, in the survey's zone");
    to.AddOption("--to", flags->end, "last day, included");
  };
  const auto add_dimension = [flags](Command to) {
    to.AddOption("--where", flags->dimension,
                 "only answers with it: channel=email, campaign=spring, agent=ada, "
                 "stage=MODEL/STAGE, tier=PROGRAMME/TIER, attribute:plan=pro");
  };
  const auto add_question = [flags](Command to) {
    to.AddOption("--question", flags->question, "id; default: the first of the kind");
    to.AddOption("--by", flags->by, "also by day, week or month").OneOf({"day", "week", "month"});
  };
  Command command =
      cli.AddCommand(group, "nps", "Net promoter score, with n and 95 % interval",
                     {"clm feedback nps pulse", "clm feedback nps pulse --by month",
                      "clm feedback nps pulse --where tier=club/gold --from 2026-01-01 -o json"},
                     [&cli, flags] { return ShowNps(cli, *flags); });
  add_survey(command);
  add_days(command);
  add_dimension(command);
  add_question(command);
  command = cli.AddCommand(
      group, "csat", "Share of satisfied answers, with n and 95 % interval",
      {"clm feedback csat service --by week", "clm feedback csat service --where agent=grace"},
      [&cli, flags] { return ShowCsat(cli, *flags); });
  add_survey(command);
  add_days(command);
  add_dimension(command);
  add_question(command);
  command = cli.AddCommand(group, "ces", "Customer effort: mean and share of low effort",
                           {"clm feedback ces service", "clm feedback ces service --by day -o csv"},
                           [&cli, flags] { return ShowCes(cli, *flags); });
  add_survey(command);
  add_days(command);
  add_dimension(command);
  add_question(command);
  command = cli.AddCommand(group, "rqi", "Relationship quality index, 0 to 100, over customers",
                           {"clm feedback rqi relationship"},
                           [&cli, flags] { return ShowRqi(cli, *flags); });
  add_survey(command);
  add_days(command);
  add_dimension(command);
  command = cli.AddCommand(group, "funnel", "How far people come in a survey, and where they stop",
                           {"clm feedback funnel pulse", "clm feedback funnel pulse -o json"},
                           [&cli, flags] { return ShowFunnel(cli, *flags); });
  add_survey(command);
  add_days(command);
  command = cli.AddCommand(
      group, "recount", "Compare the counters of a survey with its answers; fails when they differ",
      {"clm feedback recount pulse"}, [&cli, flags] { return Recount(cli, *flags); });
  add_survey(command);
}

}  // namespace clm::cli
