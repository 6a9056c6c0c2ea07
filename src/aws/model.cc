#include "aws/model.h"

#include <algorithm>

namespace lambdad::aws {

const OperationModel* ServiceModel::find(std::string_view operation) const {
  const auto at = std::ranges::lower_bound(operations, operation, {}, [](const OperationModel* o) { return o->name; });
  return at != operations.end() && (*at)->name == operation ? *at : nullptr;
}

bool ServiceModel::speaks(Protocol protocol) const { return std::ranges::find(protocols, protocol) != protocols.end(); }

}  // namespace lambdad::aws
