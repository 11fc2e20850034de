#include "tools/clm/feedback_reviews_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clm/feedback/v1/review_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using feedback::v1::Review;
using Stub = feedback::v1::ReviewService::Stub;

struct ReviewFlags {
  std::string name, contact, kind, platform, title, text, url, author, evidence, reason, filter;
  std::string request_id;
  bool publishable = false;
  int64_t rating = 0, rating_max = 0;
  int64_t limit = 100;
};

const std::vector<std::string> kKinds = {"review", "testimonial", "case_study"};

// ---- Answers.

std::string KindText(const Review& review) {
  return EnumText("KIND_", Review::Kind_Name(review.kind()));
}
std::string StateText(const Review& review) {
  return EnumText("STATE_", Review::State_Name(review.state()));
}
std::string PermissionText(const Review& review) {
  return review.permission() == 0
             ? "not said"
             : EnumText("PERMISSION_", Review::Permission_Name(review.permission()));
}
terminal::Cell RatingCell(const Review& review) {
  if (review.rating() == 0) return {};
  return terminal::Cell(absl::StrCat(review.rating(), " of ", review.rating_max()));
}

terminal::Table ReviewTable(const Cli& cli, const std::vector<Review>& reviews) {
  terminal::Table table({{"name", "REVIEW"},
                         {"kind"},
                         {"platform"},
                         {"rating"},
                         {"state"},
                         {"permission"},
                         {"publishable"},
                         {"contact"},
                         {"create_time", "SINCE"},
                         {"text", "", true}});
  table.set_empty_text("no review");
  for (const Review& review : reviews) {
    table.Add({ShownName(cli, review.name()), KindText(review), review.platform(),
               RatingCell(review), StateText(review), PermissionText(review),
               review.publishable() ? "yes" : "no", TextCell(LastPart(review.contact())),
               TimeCell(review.has_create_time(), review.create_time()), TextCell(review.text())});
  }
  return table;
}

absl::Status ShowReview(const Cli& cli, const absl::StatusOr<Review>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  return cli.Print({&*answer}, false, [&] { return ReviewTable(cli, {*answer}); });
}

absl::Status ShowWhole(const Cli& cli, const Review& review) {
  return cli.PrintReport(review, [&] {
    terminal::Table table({{"field"}, {"value"}});
    const auto add = [&](const char* field, const terminal::Cell& value) {
      table.Add({field, value});
    };
    add("name", LastPart(review.name()));
    add("kind", KindText(review));
    add("platform", review.platform());
    add("state", StateText(review));
    add("publishable", review.publishable() ? "yes" : "no");
    add("contact", review.contact_erased() ? "erased" : TextCell(LastPart(review.contact())));
    add("rating", RatingCell(review));
    add("title", TextCell(review.title()));
    add("text", TextCell(review.text()));
    add("url", TextCell(review.url()));
    add("author", TextCell(review.author()));
    add("permission", PermissionText(review));
    add("evidence", TextCell(review.permission_evidence()));
    add("permission_time", TimeCell(review.has_permission_time(), review.permission_time()));
    add("decided_by", TextCell(review.decided_by()));
    add("decide_time", TimeCell(review.has_decide_time(), review.decide_time()));
    add("reject_reason", TextCell(review.reject_reason()));
    add("request_time", TimeCell(review.has_request_time(), review.request_time()));
    add("receive_time", TimeCell(review.has_receive_time(), review.receive_time()));
    return table;
  });
}

// ---- The commands.

absl::Status ParseKind(const std::string& text, Review::Kind* kind) {
  *kind = Review::KIND_REVIEW;
  if (text.empty() || Review::Kind_Parse("KIND_" + absl::AsciiStrToUpper(text), kind)) {
    return absl::OkStatus();
  }
  return error::InvalidField("--kind", absl::StrCat("'", text, "' is not known; see --help"));
}

void Fill(const ReviewFlags& flags, Review* review) {
  review->set_rating(static_cast<int32_t>(flags.rating));
  review->set_rating_max(static_cast<int32_t>(flags.rating_max));
  review->set_title(flags.title);
  review->set_text(flags.text);
  review->set_url(flags.url);
  review->set_author(flags.author);
}

template <class Request>
Request About(Cli& cli, const ReviewFlags& flags) {
  Request request;
  request.set_name(cli.Name("reviews", flags.name));
  request.set_request_id(flags.request_id);
  return request;
}

absl::Status Ask(Cli& cli, const ReviewFlags& flags) {
  feedback::v1::RequestReviewRequest request;
  request.set_parent(cli.tenant_name());
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  Review::Kind kind;
  CLM_RETURN_IF_ERROR(ParseKind(flags.kind, &kind));
  request.set_kind(kind);
  request.set_platform(flags.platform);
  return ShowReview(cli, cli.Call(&Stub::RequestReview, request));
}

absl::Status Record(Cli& cli, const ReviewFlags& flags) {
  feedback::v1::CreateReviewRequest request;
  request.set_parent(cli.tenant_name());
  request.set_request_id(flags.request_id);
  Review& review = *request.mutable_review();
  Review::Kind kind;
  CLM_RETURN_IF_ERROR(ParseKind(flags.kind, &kind));
  review.set_kind(kind);
  review.set_platform(flags.platform);
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*review.mutable_contact(), cli.ContactName(flags.contact));
  }
  Fill(flags, &review);
  return ShowReview(cli, cli.Call(&Stub::CreateReview, request));
}

absl::Status Update(Cli& cli, const ReviewFlags& flags) {
  feedback::v1::UpdateReviewRequest request;
  request.set_request_id(flags.request_id);
  request.mutable_review()->set_name(cli.Name("reviews", flags.name));
  Fill(flags, request.mutable_review());
  return ShowReview(cli, cli.Call(&Stub::UpdateReview, request));
}

absl::Status Show(Cli& cli, const ReviewFlags& flags) {
  feedback::v1::GetReviewRequest request;
  request.set_name(cli.Name("reviews", flags.name));
  CLM_ASSIGN_OR_RETURN(const Review review, cli.Call(&Stub::GetReview, request));
  return ShowWhole(cli, review);
}

absl::Status List(Cli& cli, const ReviewFlags& flags) {
  feedback::v1::ListReviewsRequest request;
  request.set_parent(cli.tenant_name());
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  }
  request.set_filter(flags.filter);
  if (flags.publishable) {
    request.set_filter(flags.filter.empty() ? "publishable"
                                            : absl::StrCat("publishable (", flags.filter, ")"));
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Review> reviews,
                       cli.List(&Stub::ListReviews, request,
                                &feedback::v1::ListReviewsResponse::reviews, flags.limit));
  return cli.Print(Pointers(reviews), true, [&] { return ReviewTable(cli, reviews); });
}

absl::Status Grant(Cli& cli, const ReviewFlags& flags) {
  auto request = About<feedback::v1::GrantReviewPermissionRequest>(cli, flags);
  request.set_evidence(flags.evidence);
  return ShowReview(cli, cli.Call(&Stub::GrantReviewPermission, request));
}

absl::Status Withdraw(Cli& cli, const ReviewFlags& flags) {
  return ShowReview(cli,
                    cli.Call(&Stub::WithdrawReviewPermission,
                             About<feedback::v1::WithdrawReviewPermissionRequest>(cli, flags)));
}

absl::Status Approve(Cli& cli, const ReviewFlags& flags) {
  return ShowReview(
      cli, cli.Call(&Stub::ApproveReview, About<feedback::v1::ApproveReviewRequest>(cli, flags)));
}

absl::Status Reject(Cli& cli, const ReviewFlags& flags) {
  auto request = About<feedback::v1::RejectReviewRequest>(cli, flags);
  request.set_reason(flags.reason);
  return ShowReview(cli, cli.Call(&Stub::RejectReview, request));
}

// ---- The lines.

struct ReviewCommand {
  Command command;
  std::shared_ptr<ReviewFlags> flags;

  void Review() const {
    command.AddOption("REVIEW", flags->name, "the id, or the full name").Required();
  }
  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
  void Kind() const {
    command.AddOption("--kind", flags->kind, "review unless said otherwise").OneOf(kKinds);
  }
  void Content() const {
    command.AddOption("--rating", flags->rating, "how good it is").Between(0, 100);
    command.AddOption("--of", flags->rating_max, "the best rating there; 5 unless said otherwise")
        .Between(0, 100);
    command.AddOption("--title", flags->title, "its heading");
    command.AddOption("--text", flags->text, "what it says");
    command.AddOption("--url", flags->url, "where it can be read");
    command.AddOption("--author", flags->author, "by which name it may be quoted");
    RequestId();
  }
};

ReviewCommand Add(Cli& cli, Command group, const char* name, const char* description,
                  const std::vector<std::string>& examples,
                  absl::Status (*run)(Cli&, const ReviewFlags&)) {
  auto flags = std::make_shared<ReviewFlags>();
  return {cli.AddCommand(group, name, description, examples,
                         [&cli, flags, run] { return run(cli, *flags); }),
          flags};
}

void AddDecisions(Cli& cli, Command group) {
  ReviewCommand made = Add(cli, group, "grant", "The customer lets the company share it",
                           {"clm feedback reviews grant REVIEW 'mail of 12 May'"}, &Grant);
  made.Review();
  made.command.AddOption("EVIDENCE", made.flags->evidence, "how that is known").Required();
  made.RequestId();
  made = Add(cli, group, "withdraw", "The customer does not let the company share it any more",
             {"clm feedback reviews withdraw REVIEW"}, &Withdraw);
  made.Review();
  made.RequestId();
  made = Add(cli, group, "approve", "It may be shared", {"clm feedback reviews approve REVIEW"},
             &Approve);
  made.Review();
  made.RequestId();
  made = Add(cli, group, "reject", "It is not to be shared",
             {"clm feedback reviews reject REVIEW --reason 'of another shop'"}, &Reject);
  made.Review();
  made.command.AddOption("--reason", made.flags->reason, "why");
  made.RequestId();
}

}  // namespace

void AddFeedbackReviewsCommands(Cli& cli, Command feedback) {
  const Command group =
      feedback.AddGroup("reviews", "Reviews, testimonials and case studies, and who may see them");
  ReviewCommand made =
      Add(cli, group, "request", "The customer was asked for a review",
          {"clm feedback reviews request ada@example.com trustpilot",
           "clm feedback reviews request ada@example.com own_site --kind case_study"},
          &Ask);
  made.command.AddOption("CONTACT", made.flags->contact, kContactHelp).Required();
  made.command.AddOption("PLATFORM", made.flags->platform, "where it is to be said").Required();
  made.Kind();
  made.RequestId();

  made = Add(cli, group, "record", "Record a review that was found or sent in",
             {"clm feedback reviews record trustpilot --rating 4 --text 'a fine mug' "
              "--url https://example.com/1",
              "clm feedback reviews record own_site --kind testimonial --text 'a fine mug' "
              "--contact ada@example.com --author 'Ada of Berlin'"},
             &Record);
  made.command.AddOption("PLATFORM", made.flags->platform, "where it was said").Required();
  made.command.AddOption("--contact", made.flags->contact, kContactHelp).TypeName("CONTACT");
  made.Kind();
  made.Content();

  made = Add(cli, group, "update", "Fill in what was asked for, or change what it says",
             {"clm feedback reviews update REVIEW --rating 5 --text 'a very fine mug'"}, &Update);
  made.Review();
  made.Content();

  made =
      Add(cli, group, "show", "Show a review",
          {"clm feedback reviews show REVIEW", "clm feedback reviews show REVIEW -o json"}, &Show);
  made.Review();

  made = Add(cli, group, "list", "List reviews, newest first",
             {"clm feedback reviews list --publishable",
              "clm feedback reviews list --filter 'kind = TESTIMONIAL rating >= 4' -o csv"},
             &List);
  made.command.AddOption("--contact", made.flags->contact, kContactHelp).TypeName("CONTACT");
  made.command.AddFlag("--publishable", made.flags->publishable, "only those that may be shared");
  made.command.AddOption("--filter", made.flags->filter,
                         "over kind, state, permission, publishable, platform, rating and times");
  made.command.AddOption("--limit", made.flags->limit, "most to show; 0: all")
      .Counts()
      .ShowDefault();

  AddDecisions(cli, group);
}

}  // namespace clm::cli
