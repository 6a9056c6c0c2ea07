// Tags of log groups.
#include "services/logs/limits.h"
#include "services/logs/rows.h"
#include "services/logs/store.h"

namespace lambdad::logs {

using store::Row;
using store::Transaction;

Result<void> put_tags(Transaction& tx, std::int64_t group, const Tags& tags) {
  for (const auto& [name, value] : tags) {
    LD_TRY([[maybe_unused]] auto put, tx.execute("INSERT INTO log_group_tag (group_id, name, value) VALUES (?1,?2,?3)"
                                                 " ON CONFLICT (group_id, name) DO UPDATE SET value = ?3",
                                                 {group, name, value}));
  }
  return {};
}

Async<Result<Store::Tagged>> Store::tag_group(GroupKey group, Tags tags) {
  co_return co_await database_->write(
      [group = std::move(group), tags = std::move(tags)](Transaction& tx) -> Result<Tagged> {
        LD_TRY(const auto found, find_group(tx, group));
        if (!found) return Tagged::kNoGroup;
        std::size_t count = tags.size();
        LD_TRY_VOID(tx.query("SELECT name FROM log_group_tag WHERE group_id = ?", {found->id},
                             [&](const Row& row) { count += tags.contains(row.text(0)) ? 0 : 1; }));
        if (count > kTagsMax) return Tagged::kTooMany;
        LD_TRY_VOID(put_tags(tx, found->id, tags));
        return Tagged::kDone;
      });
}

Async<Result<Store::Missing>> Store::untag_group(GroupKey group, std::vector<std::string> names) {
  co_return co_await database_->write(
      [group = std::move(group), names = std::move(names)](Transaction& tx) -> Result<Missing> {
        LD_TRY(const auto found, find_group(tx, group));
        if (!found) return Missing::kGroup;
        for (const std::string& name : names) {
          LD_TRY([[maybe_unused]] auto removed,
                 tx.execute("DELETE FROM log_group_tag WHERE group_id = ? AND name = ?", {found->id, name}));
        }
        return Missing::kNothing;
      });
}

Async<Result<std::optional<Tags>>> Store::tags(GroupKey group) {
  co_return co_await database_->read([group = std::move(group)](Transaction& tx) -> Result<std::optional<Tags>> {
    LD_TRY(const auto found, find_group(tx, group));
    if (!found) return std::nullopt;
    Tags tags;
    LD_TRY_VOID(tx.query("SELECT name, value FROM log_group_tag WHERE group_id = ?", {found->id},
                         [&](const Row& row) { tags.emplace(row.text(0), row.text(1)); }));
    return tags;
  });
}

}  // namespace lambdad::logs
