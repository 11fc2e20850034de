#include "services/access/module.h"

#include <utility>

#include "clm/access/v1/access_service.grpc.pb.h"
#include "libs/base/status_macros.h"
#include "libs/pg/pg.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/service.h"
#include "services/access/access_handlers.h"
#include "services/access/access_store.h"
#include "services/access/schema.h"

namespace clm::access {
namespace {

// Few calls, short ones: tokens are cached.
constexpr int kConnections = 2;

class AccessBinding : public rpc::Service {
 public:
  AccessBinding(rpc::Host& host, AccessHandlers& handlers)
      : Service(host, v1::AccessService::service_full_name()) {
    Bind("CreateTenant", &handlers, &AccessHandlers::CreateTenant);
    Bind("GetTenant", &handlers, &AccessHandlers::GetTenant);
    Bind("ListTenants", &handlers, &AccessHandlers::ListTenants);
    Bind("CreateToken", &handlers, &AccessHandlers::CreateToken);
    Bind("CreateOperatorToken", &handlers, &AccessHandlers::CreateOperatorToken);
    Bind("ListTokens", &handlers, &AccessHandlers::ListTokens);
    Bind("RevokeToken", &handlers, &AccessHandlers::RevokeToken);
    Bind("RevokeOperatorToken", &handlers, &AccessHandlers::RevokeOperatorToken);
    Bind("Introspect", &handlers, &AccessHandlers::Introspect);
  }
};

class AccessModule : public app::Module {
 public:
  std::string name() const override { return "access"; }
  std::vector<pg::Schema> Schemas() const override { return {AccessSchema()}; }

  absl::Status Start(app::Runtime& runtime) override {
    CLM_ASSIGN_OR_RETURN(pool_, runtime.OpenDatabase(AccessSchema(), kConnections));
    store_ = std::make_unique<AccessStore>(*pool_);
    handlers_ = std::make_unique<AccessHandlers>(*store_, runtime.clock(), runtime.secret());
    runtime.SetAuthenticator(std::make_unique<rpc::CachingAuthenticator>(
        [this](absl::string_view token, absl::Time deadline) {
          return handlers_->WhoHolds(token, deadline);
        },
        runtime.clock()));
    runtime.SetTenants(
        std::make_unique<rpc::Tenants>([this](const std::string& tenant, absl::Time deadline) {
          return store_->GetTenant(tenant, deadline).status();
        }));
    return runtime.Register(std::make_unique<AccessBinding>(runtime.host(), *handlers_));
  }

  void Stop() override { pool_.reset(); }

 private:
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<AccessStore> store_;
  std::unique_ptr<AccessHandlers> handlers_;
};

}  // namespace

std::unique_ptr<app::Module> NewModule() { return std::make_unique<AccessModule>(); }

}  // namespace clm::access
