#include "storage/cli/cli.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <functional>

#include "core/build_id.h"
#include "storage/cli/commands.h"

namespace cedana::cli {
namespace {

// What the chosen command does.
using Action = std::function<absl::Status()>;

void AddServe(CLI::App& app, ServeOptions& options, Action& action) {
  CLI::App* serve = app.add_subcommand("serve", "Serve checkpoints from a folder");
  serve->add_option("--data", options.data_dir, "Folder of catalog, keys and tokens")->required();
  serve
      ->add_option("--listen", options.listen,
                   "ADDRESS:PORT, loopback only without TLS; port 0 is any")
      ->capture_default_str();
  serve->add_option("--tls-cert", options.tls_cert_file,
                    "File of the certificate chain (PEM), read again when it changes");
  serve->add_option("--tls-key", options.tls_key_file, "File of its key (PEM)");
  serve
      ->add_option(
          "--provider", options.providers,
          "NAME=URL (file:///PATH, s3://BUCKET/PREFIX?…, gcs://…, azure://…), may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  serve->add_option("--providers-file", options.providers_file,
                    "JSON file {\"providers\": [{\"name\", \"url\"}, …]}");
  serve->add_option("--master-key-file", options.master_key_file,
                    "File of the master key (or CEDANA_STORAGE_MASTER_KEY); DIR/keys/master");
  serve->add_option("--lease", options.lease_s, "Seconds that a save or restore lives unrenewed");
  serve->add_option("--heartbeat", options.heartbeat_s, "Seconds between renewals");
  serve->add_option("--grant", options.grant_s, "Seconds that a grant is good");
  serve->add_option("--grace", options.grace_s, "Seconds from condemned to deleted");
  serve->add_option("--sweep-interval", options.sweep_interval_s,
                    "Seconds between rounds of collection");
  serve->add_option("--log-format", options.log_format)
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  serve->add_option("--log-level", options.log_level)
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  serve->callback([&] { action = [&options] { return Serve(options); }; });
}

void AddAdminFlags(CLI::App* command, AdminOptions& options) {
  command->add_option("--url", options.url,
                      "The running service (or CEDANA_STORAGE_URL); http://127.0.0.1:7070");
  command->add_option("--ca-file", options.ca_file,
                      "File of a private authority (PEM; or CEDANA_STORAGE_CA_FILE)");
  command->add_option("--operator-token-file", options.operator_token_file,
                      "File of the operator's token (or CEDANA_STORAGE_OPERATOR_TOKEN)");
  command->add_option("--data", options.data_dir, "The service's folder, for its operator-token");
  command
      ->add_option_function<std::string>(
          "-o,--output", [&options](const std::string& format) { options.json = format == "json"; },
          "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

// One administrative command with at most one text argument.
void AddAdmin(CLI::App* parent, const std::string& name, const std::string& help,
              AdminOptions& options, Action& action, std::function<absl::Status()> run,
              const std::function<void(CLI::App*)>& arguments = nullptr) {
  CLI::App* command = parent->add_subcommand(name, help);
  AddAdminFlags(command, options);
  if (arguments) arguments(command);
  command->callback([&action, run = std::move(run)] { action = run; });
}

void AddAdminCommands(CLI::App& app, AdminOptions& options, std::string& text, Action& action) {
  CLI::App* org = app.add_subcommand("org", "Organisations of the running service");
  org->require_subcommand(1);
  AddAdmin(
      org, "create", "Create an organisation", options, action,
      [&] { return CreateOrganisation(options, text); },
      [&](CLI::App* command) { command->add_option("name", text, "Its name")->required(); });
  AddAdmin(org, "list", "List organisations", options, action,
           [&] { return ListOrganisations(options); });

  CLI::App* token = app.add_subcommand("token", "Tokens of the running service");
  token->require_subcommand(1);
  AddAdmin(
      token, "create", "Create a token of an organisation; it is shown once", options, action,
      [&] { return CreateToken(options, text); },
      [&](CLI::App* command) { command->add_option("--org", text, "Organisation")->required(); });
  AddAdmin(
      token, "list", "List tokens", options, action, [&] { return ListTokens(options, text); },
      [&](CLI::App* command) { command->add_option("--org", text, "Only of this organisation"); });
  AddAdmin(
      token, "revoke", "Revoke a token", options, action,
      [&] { return RevokeToken(options, text); },
      [&](CLI::App* command) { command->add_option("id", text, "Its id")->required(); });
  AddAdmin(&app, "collect", "Run a full round of collection now", options, action,
           [&] { return Collect(options); });
}

void AddProviderCommands(CLI::App& app, AdminOptions& options, ProviderArguments& arguments,
                         Action& action) {
  CLI::App* provider = app.add_subcommand("provider", "Providers of the running service");
  provider->require_subcommand(1);
  const auto name = [&](CLI::App* command) {
    command->add_option("name", arguments.name, "Its name")->required();
  };
  AddAdmin(
      provider, "add", "Try a provider, and use it from now on", options, action,
      [&] { return AddProvider(options, arguments); },
      [&, name](CLI::App* command) {
        name(command);
        command->add_option("provider-url", arguments.url, "file://, s3://, gcs:// or azure:// URL")
            ->required();
        command->add_option("--credentials", arguments.credentials_file,
                            "File of its credentials; kept by the service, mode 0600");
      });
  AddAdmin(provider, "list", "List providers", options, action,
           [&] { return ListProviders(options); });
  AddAdmin(
      provider, "test", "Try everything that is done with a provider", options, action,
      [&] { return TestProvider(options, arguments); }, name);
  AddAdmin(
      provider, "remove", "Drain a provider, or declare it lost", options, action,
      [&] { return RemoveProvider(options, arguments); },
      [&, name](CLI::App* command) {
        name(command);
        command->add_flag("--lost", arguments.lost,
                          "What it has is gone: never read it again, write copies elsewhere");
      });
}

struct PolicyArguments {
  std::string organisation;
  std::string policy;
  bool scrub = false;
};

void AddPolicyCommands(CLI::App& app, AdminOptions& options, PolicyArguments& arguments,
                       Action& action) {
  CLI::App* policy = app.add_subcommand("policy", "How many copies an organisation has");
  policy->require_subcommand(1);
  AddAdmin(
      policy, "show", "Show policies", options, action,
      [&] { return ShowPolicy(options, arguments.organisation); },
      [&](CLI::App* command) {
        command->add_option("organisation", arguments.organisation, "Only of this one");
      });
  AddAdmin(
      policy, "set", "Set a policy; what is missing is written in the background", options, action,
      [&] { return SetPolicy(options, arguments.organisation, arguments.policy); },
      [&](CLI::App* command) {
        command->add_option("organisation", arguments.organisation, "Its name")->required();
        command->add_option("policy", arguments.policy, "copies=N,ack=M or default")->required();
      });
  AddAdmin(&app, "status", "Show providers, debt and repair", options, action,
           [&] { return ShowStatus(options); });
  AddAdmin(
      &app, "repair", "Pay now whatever debt can be paid", options, action,
      [&] { return Repair(options, arguments.scrub); },
      [&](CLI::App* command) {
        command->add_flag("--scrub", arguments.scrub,
                          "First compare what providers list with the catalog");
      });
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app("Storage service of cedana");
  app.name("cedana-storage");
  app.require_subcommand(1);
  ServeOptions serve_options;
  AdminOptions admin_options;
  std::string text;
  Action action;
  AddServe(app, serve_options, action);
  AddAdminCommands(app, admin_options, text, action);
  ProviderArguments provider_arguments;
  AddProviderCommands(app, admin_options, provider_arguments, action);
  PolicyArguments policy_arguments;
  AddPolicyCommands(app, admin_options, policy_arguments, action);
  app.add_subcommand("version", "Print the version")->callback([&action] {
    action = [] {
      std::printf("cedana-storage %s (build %s)\n", BuildVersion(), BuildId());
      return absl::OkStatus();
    };
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "Error: %s\n", error.what());
    return 1;
  }
  const absl::Status status = action();
  if (status.ok()) return 0;
  std::fprintf(stderr, "Error: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace cedana::cli
