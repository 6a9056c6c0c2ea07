#include "services/sns/signing.h"

namespace lambdad::sns {

Async<Result<std::shared_ptr<const Signer>>> Signing::signer() {
  const auto turn = co_await busy_.acquire("key");
  if (signer_) co_return signer_;
  LD_CO_TRY(auto made, co_await system_.workers.run([now = system_.clock.wall()] { return Signer::make(now); }));
  LD_CO_TRY_VOID(co_await store_.put_key(made->key_pem(), made->certificate_pem()));
  signer_ = made;
  co_return made;
}

Async<Result<std::string>> Signing::sign(MessagePtr message, Protocol protocol, std::string subscribe_url) {
  LD_CO_TRY(auto signer, co_await this->signer());
  // Protocols share the default text.
  const bool own_text = message->texts.contains(std::string(to_string(protocol)));
  const std::string key = fmt::format("{:020}/{}", message->row, own_text ? to_string(protocol) : "");
  const auto turn = co_await busy_.acquire(key);
  if (const auto known = signatures_.find(key); known != signatures_.end()) co_return known->second;
  std::string text = string_to_sign(*message, message->text_for(protocol), subscribe_url);
  std::string signature = co_await system_.workers.run(
      [signer, text = std::move(text), version = message->signature_version] { return signer->sign(text, version); });
  // Of the oldest message: nobody may want it again.
  if (signatures_.size() >= kKept) signatures_.erase(signatures_.begin());
  signatures_.insert_or_assign(key, signature);
  co_return signature;
}

}  // namespace lambdad::sns
