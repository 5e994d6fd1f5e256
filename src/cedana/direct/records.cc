#include "cedana/direct/records.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "cedana/direct/object_names.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/format/bytes.h"
#include "core/format/manifest.h"
#include "core/format/sealed_object.h"

namespace cedana::direct {
namespace {

using base::Json;

constexpr format::ObjectKind kIntentKind{"CEDINTNT", "cedana intent v1", "intent"};
constexpr format::ObjectKind kClaimKind{"CEDCLAIM", "cedana claim v1", "claim"};
constexpr format::ObjectKind kDeletionKind{"CEDDELMK", "cedana deletion mark v1", "deletion mark"};
constexpr format::ObjectKind kDecisionKind{"CEDDECID", "cedana decision v1", "decision"};

std::array<uint8_t, 16> ObjectId(const base::SaveId& save) {
  std::array<uint8_t, 16> id;
  std::memcpy(id.data(), save.data(), id.size());
  return id;
}

absl::string_view StateName(DecisionState state) {
  switch (state) {
    case DecisionState::kCommitted:
      return "committed";
    case DecisionState::kAborted:
      return "aborted";
    case DecisionState::kFenced:
      return "fenced";
  }
  return "";
}

absl::StatusOr<uint64_t> GetUint(const Json& json, absl::string_view key) {
  CEDANA_ASSIGN_OR_RETURN(const int64_t value, base::GetInt(json, key));
  if (value < 0) return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" is negative"));
  return static_cast<uint64_t>(value);
}

absl::StatusOr<Json> OpenJson(const format::ObjectKind& kind, const base::SaveId& save,
                              absl::string_view sealed, const format::OrganisationKeys& keys) {
  CEDANA_ASSIGN_OR_RETURN(const std::string plain,
                          format::OpenObject(kind, keys, ObjectId(save), sealed));
  absl::StatusOr<Json> json = base::ParseJson(plain);
  if (!json.ok() || !json->is_object()) {
    return absl::DataLossError(absl::StrCat(kind.name, " is not JSON"));
  }
  return json;
}

absl::StatusOr<uint32_t> GetTurn(const Json& json) {
  CEDANA_ASSIGN_OR_RETURN(const uint64_t turn, GetUint(json, "turn"));
  if (turn == 0 || turn > UINT32_MAX) return absl::InvalidArgumentError("\"turn\" is no turn");
  return static_cast<uint32_t>(turn);
}

absl::Status ReadCommit(const Json& json, Decision* decision) {
  CEDANA_ASSIGN_OR_RETURN(const std::string checkpoint, base::GetString(json, "checkpoint"));
  CEDANA_ASSIGN_OR_RETURN(decision->checkpoint, base::CheckpointId::FromHex(checkpoint));
  CEDANA_ASSIGN_OR_RETURN(decision->name, base::GetString(json, "name"));
  CEDANA_ASSIGN_OR_RETURN(decision->turn, GetTurn(json));
  CEDANA_ASSIGN_OR_RETURN(decision->order, GetUint(json, "order"));
  CEDANA_ASSIGN_OR_RETURN(decision->image_bytes, GetUint(json, "image_bytes"));
  CEDANA_ASSIGN_OR_RETURN(decision->stored_bytes, GetUint(json, "stored_bytes"));
  CEDANA_ASSIGN_OR_RETURN(decision->new_bytes, GetUint(json, "new_bytes"));
  if (decision->order == 0 || decision->order > kOrderMax) {
    return absl::InvalidArgumentError("\"order\" is no order");
  }
  decision->codec = base::StringOr(json, "codec", "");
  decision->facts = transfer::JobFacts::FromJson(base::Member(json, "facts"));
  CEDANA_ASSIGN_OR_RETURN(const std::string sha256, base::GetString(json, "manifest_sha256"));
  if (format::ManifestSha256(decision->manifest) != sha256) {
    return absl::InvalidArgumentError("another manifest than was committed");
  }
  return absl::OkStatus();
}

}  // namespace

std::string SealIntent(const base::SaveId& save, const base::CheckpointId& checkpoint,
                       const format::OrganisationKeys& keys) {
  return format::SealObject(kIntentKind, keys, ObjectId(save),
                            base::DumpJson({{"checkpoint", checkpoint.ToHex()}}));
}

std::string SealClaim(const Claim& claim, const format::OrganisationKeys& keys) {
  return format::SealObject(kClaimKind, keys, ObjectId(claim.save),
                            base::DumpJson({{"name", claim.name}, {"turn", claim.turn}}));
}

std::string SealDeletion(const base::SaveId& save, const format::OrganisationKeys& keys) {
  return format::SealObject(kDeletionKind, keys, ObjectId(save), "{}");
}

absl::StatusOr<std::string> SealDecision(const Decision& decision,
                                         const format::OrganisationKeys& keys) {
  Json json = {{"state", StateName(decision.state)}};
  if (decision.state == DecisionState::kCommitted) {
    json.update(Json{{"checkpoint", decision.checkpoint.ToHex()},
                     {"name", decision.name},
                     {"turn", decision.turn},
                     {"order", decision.order},
                     {"image_bytes", decision.image_bytes},
                     {"stored_bytes", decision.stored_bytes},
                     {"new_bytes", decision.new_bytes},
                     {"codec", decision.codec},
                     {"facts", decision.facts.ToJson()},
                     {"manifest_sha256", format::ManifestSha256(decision.manifest)}});
  }
  const std::string head =
      format::SealObject(kDecisionKind, keys, ObjectId(decision.save), base::DumpJson(json));
  if (head.size() > kHeadBytesMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the facts of the checkpoint take ", head.size(), " bytes, at most ", kHeadBytesMax));
  }
  format::ByteWriter out;
  out.U32(static_cast<uint32_t>(head.size()));
  return absl::StrCat(out.Take(), head, decision.manifest);
}

absl::StatusOr<Claim> OpenClaim(absl::string_view sealed, const format::OrganisationKeys& keys) {
  const absl::StatusOr<std::array<uint8_t, 16>> id = format::PeekObjectId(kClaimKind, sealed);
  if (!id.ok()) return id.status();
  Claim claim;
  claim.save = base::SaveId(*id);
  CEDANA_ASSIGN_OR_RETURN(const Json json, OpenJson(kClaimKind, claim.save, sealed, keys));
  const absl::StatusOr<std::string> name = base::GetString(json, "name");
  const absl::StatusOr<uint32_t> turn = GetTurn(json);
  if (!name.ok() || !turn.ok()) return absl::DataLossError("claim has a bad member");
  claim.name = *name;
  claim.turn = *turn;
  return claim;
}

absl::StatusOr<Decision> OpenDecision(absl::string_view bytes, const base::SaveId& save,
                                      const format::OrganisationKeys& keys) {
  format::ByteReader in(format::AsBytes(bytes));
  const uint32_t head_bytes = in.U32();
  const absl::string_view head = format::AsText(in.Bytes(head_bytes));
  if (!in.ok()) return absl::DataLossError("decision is cut short");
  CEDANA_ASSIGN_OR_RETURN(const Json json, OpenJson(kDecisionKind, save, head, keys));
  Decision decision;
  decision.save = save;
  decision.manifest = std::string(bytes.substr(4 + head.size()));
  const std::string state = base::StringOr(json, "state", "");
  if (state == StateName(DecisionState::kCommitted)) {
    decision.state = DecisionState::kCommitted;
    const absl::Status status = ReadCommit(json, &decision);
    if (!status.ok()) return absl::DataLossError(absl::StrCat("decision: ", status.message()));
    return decision;
  }
  if (!decision.manifest.empty()) return absl::DataLossError("decision with bytes behind its end");
  if (state == StateName(DecisionState::kFenced)) {
    decision.state = DecisionState::kFenced;
  } else if (state != StateName(DecisionState::kAborted)) {
    return absl::DataLossError("decision of an unknown state");
  }
  return decision;
}

transfer::CheckpointInfo InfoOf(const Decision& decision) {
  IndexEntry entry;
  entry.order = decision.order;
  entry.save = decision.save;
  transfer::CheckpointInfo info;
  info.id = decision.checkpoint;
  info.path = decision.name;
  info.sequence = entry.sequence();
  info.image_bytes = decision.image_bytes;
  info.stored_bytes = decision.stored_bytes;
  info.new_bytes = decision.new_bytes;
  info.codec = decision.codec;
  info.durability = "durable";
  info.facts = decision.facts;
  return info;
}

}  // namespace cedana::direct
