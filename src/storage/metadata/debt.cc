#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"

namespace cedana::metadata {
namespace {

// Per object: domains where it can be read, domains that count for the policy, and shards that
// somebody has to look at. `s` are shards, `pr` providers.
#define CEDANA_LIVE_COLUMNS                                                              \
  "COUNT(DISTINCT CASE WHEN pr.state < 2 AND s.state <> 1 THEN pr.domain END) AS live, " \
  "COUNT(DISTINCT CASE WHEN pr.state = 0 AND s.state = 0 THEN pr.domain END) AS sound, " \
  "TOTAL(s.state <> 0) AS odd"

constexpr char kPackCounts[] = "SELECT " CEDANA_LIVE_COLUMNS
                               " FROM shards s JOIN providers pr ON pr.name = s.provider WHERE "
                               "s.organisation = ? AND s.pack = ?";
constexpr char kManifestCounts[] = "SELECT " CEDANA_LIVE_COLUMNS
                                   " FROM manifest_shards s JOIN providers pr ON pr.name = "
                                   "s.provider WHERE s.organisation = ? AND s.checkpoint = ?";

// ?1 organisation, ?2 copies wanted, ?3 now.
#define CEDANA_SHORT_PACKS                                                                    \
  "(SELECT p.id AS id, " CEDANA_LIVE_COLUMNS                                                  \
  " FROM packs p LEFT JOIN shards s ON s.organisation = p.organisation AND s.pack = p.id "    \
  "LEFT JOIN providers pr ON pr.name = s.provider WHERE p.organisation = ?1 AND p.state < 2 " \
  "GROUP BY p.id) WHERE sound < ?2 OR odd > 0"
#define CEDANA_SHORT_MANIFESTS                                                                 \
  "(SELECT c.id AS id, " CEDANA_LIVE_COLUMNS                                                   \
  " FROM checkpoints c LEFT JOIN manifest_shards s ON s.organisation = c.organisation AND "    \
  "s.checkpoint = c.id LEFT JOIN providers pr ON pr.name = s.provider WHERE c.organisation = " \
  "?1 AND c.hidden_ms IS NULL GROUP BY c.id) WHERE sound < ?2 OR odd > 0"

constexpr char kAddPackDebts[] =
    "INSERT INTO debts(organisation, kind, id, live, since_ms) SELECT ?1, 0, id, live, ?3 "
    "FROM " CEDANA_SHORT_PACKS
    " ON CONFLICT(organisation, kind, id) DO UPDATE SET live = excluded.live";
constexpr char kDropPackDebts[] =
    "DELETE FROM debts WHERE organisation = ?1 AND kind = 0 AND id NOT IN (SELECT id "
    "FROM " CEDANA_SHORT_PACKS ")";
constexpr char kAddManifestDebts[] =
    "INSERT INTO debts(organisation, kind, id, live, since_ms) SELECT ?1, 1, id, live, ?3 "
    "FROM " CEDANA_SHORT_MANIFESTS
    " ON CONFLICT(organisation, kind, id) DO UPDATE SET live = excluded.live";
constexpr char kDropManifestDebts[] =
    "DELETE FROM debts WHERE organisation = ?1 AND kind = 1 AND id NOT IN (SELECT id "
    "FROM " CEDANA_SHORT_MANIFESTS ")";

// What the debts of an organisation say about its objects.
struct Shortages {
  uint32_t ack = 0;
  absl::flat_hash_map<ObjectId, uint32_t> packs;  // -> live
  absl::flat_hash_map<ObjectId, uint32_t> manifests;

  bool none() const { return packs.empty() && manifests.empty(); }
};

absl::StatusOr<Shortages> LoadShortages(Connection& connection, const base::OrgId& organisation) {
  Shortages found;
  Query query(connection, "SELECT kind, id, live FROM debts WHERE organisation = ?");
  query.Bind(organisation);
  while (query.Step()) {
    auto& map = query.Int(0) == 0 ? found.packs : found.manifests;
    map[query.Id<ObjectId>(1)] = static_cast<uint32_t>(query.Int(2));
  }
  CEDANA_RETURN_IF_ERROR(query.status());
  if (found.none()) return found;
  CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, organisation));
  found.ack = policy.ack;
  return found;
}

const char* DurabilityName(bool in_debt, uint32_t least_live, uint32_t ack) {
  if (!in_debt) return "fully replicated";
  if (least_live == 0) return "lost";
  return least_live < ack ? "endangered" : "durable";
}

}  // namespace

absl::StatusOr<Policy> EffectivePolicy(Connection& connection, const base::OrgId& organisation) {
  Query query(connection,
              "SELECT p.copies, p.ack, (SELECT COUNT(DISTINCT domain) FROM providers WHERE state = "
              "0) FROM (SELECT ?1 AS organisation) o LEFT JOIN policies p ON p.organisation = "
              "o.organisation");
  query.Bind(organisation);
  Policy policy;
  if (query.Step()) {
    policy.chosen = !query.IsNull(0);
    const auto domains = static_cast<uint32_t>(query.Int(2));
    policy.copies = policy.chosen ? static_cast<uint32_t>(query.Int(0)) : std::min(2u, domains);
    policy.ack = policy.chosen ? static_cast<uint32_t>(query.Int(1)) : policy.copies;
  }
  CEDANA_RETURN_IF_ERROR(query.status());
  return policy;
}

absl::StatusOr<uint32_t> Assess(Connection& connection, const Policy& policy, const ObjectRef& ref,
                                int64_t now_ms) {
  Query counts(connection, ref.kind == ObjectKind::kPack ? kPackCounts : kManifestCounts);
  counts.Bind(ref.organisation, ref.id);
  if (!counts.Step()) {
    CEDANA_RETURN_IF_ERROR(counts.status());
    return absl::InternalError("catalog: an aggregate without a row");
  }
  const auto live = static_cast<uint32_t>(counts.Int(0));
  const bool in_debt = counts.Int(1) < policy.copies || counts.Int(2) > 0;
  if (!in_debt) {
    Query drop(connection, "DELETE FROM debts WHERE organisation = ? AND kind = ? AND id = ?");
    CEDANA_RETURN_IF_ERROR(drop.Bind(ref.organisation, static_cast<int>(ref.kind), ref.id).Run());
    return live;
  }
  Query add(connection,
            "INSERT INTO debts(organisation, kind, id, live, since_ms) VALUES(?, ?, ?, ?, ?) ON "
            "CONFLICT(organisation, kind, id) DO UPDATE SET live = excluded.live");
  CEDANA_RETURN_IF_ERROR(
      add.Bind(ref.organisation, static_cast<int>(ref.kind), ref.id, live, now_ms).Run());
  return live;
}

absl::Status AssessOrganisation(Connection& connection, const base::OrgId& organisation,
                                int64_t now_ms) {
  CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, organisation));
  const auto judge = [&](const char* add_sql, const char* drop_sql) -> absl::Status {
    Query add(connection, add_sql);
    CEDANA_RETURN_IF_ERROR(add.Bind(organisation, policy.copies, now_ms).Run());
    Query drop(connection, drop_sql);
    return drop.Bind(organisation, policy.copies).Run();
  };
  CEDANA_RETURN_IF_ERROR(judge(kAddPackDebts, kDropPackDebts));
  return judge(kAddManifestDebts, kDropManifestDebts);
}

absl::Status AssessAll(Connection& connection, int64_t now_ms) {
  std::vector<base::OrgId> organisations;
  {
    Query query(connection, "SELECT id FROM organisations");
    while (query.Step()) organisations.push_back(query.Id<base::OrgId>(0));
    CEDANA_RETURN_IF_ERROR(query.status());
  }
  for (const base::OrgId& organisation : organisations) {
    CEDANA_RETURN_IF_ERROR(AssessOrganisation(connection, organisation, now_ms));
  }
  return absl::OkStatus();
}

absl::Status FillDurability(Connection& connection, const base::OrgId& organisation,
                            const std::vector<Checkpoint*>& checkpoints) {
  // Without debt, which is the rule, no list of packs is read.
  CEDANA_ASSIGN_OR_RETURN(const Shortages shortages, LoadShortages(connection, organisation));
  for (Checkpoint* checkpoint : checkpoints) {
    bool in_debt = false;
    uint32_t least_live = UINT32_MAX;
    const auto look = [&](const absl::flat_hash_map<ObjectId, uint32_t>& map, const ObjectId& id) {
      const auto found = map.find(id);
      if (found == map.end()) return;
      in_debt = true;
      least_live = std::min(least_live, found->second);
    };
    if (!shortages.none()) {
      look(shortages.manifests, ObjectRef::Manifest(organisation, checkpoint->id).id);
      Query list(connection, "SELECT packs FROM checkpoints WHERE organisation = ? AND id = ?");
      list.Bind(organisation, checkpoint->id);
      if (list.Step()) {
        CEDANA_RETURN_IF_ERROR(DecodePackList(list.Bytes(0), [&](const base::PackId& pack) {
          look(shortages.packs, ObjectRef::Pack(organisation, pack).id);
        }));
      }
      CEDANA_RETURN_IF_ERROR(list.status());
    }
    checkpoint->durability = DurabilityName(in_debt, least_live, shortages.ack);
  }
  return absl::OkStatus();
}

}  // namespace cedana::metadata
