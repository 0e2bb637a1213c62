// SPDX-License-Identifier: Apache-2.0
#include "card_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/cxl.h"
#include "arguments.h"
#include "close_operation.h"
#include "wrapped.h"

namespace cxl {
namespace {

class TransferOperation : public Operation {
 public:
  TransferOperation(CardFile* card, bool validate) : card_(card), validate_(validate) {}
  ~TransferOperation() override { free(chunk_); }

  // A copy: nothing stops JavaScript from detaching its buffer while the driver reads.
  void Take(const void* data, size_t length, bool needs_header, uint64_t image_length) {
    chunk_ = malloc(length > 0 ? length : 1);
    if (chunk_ == nullptr) abort();
    if (length > 0) memcpy(chunk_, data, length);
    image_.flags = needs_header ? CXL_AI_NEED_HEADER : 0;
    image_.data = reinterpret_cast<uintptr_t>(chunk_);
    image_.len_data = length;
    image_.len_image = image_length;
  }

  void Run() override {
    // The number may be another file's by now.
    if (card_->closed()) {
      result_ = -EBADF;
      return;
    }
    const int status =
        ioctl(card_->fd, validate_ ? CXL_IOCTL_VALIDATE_IMAGE : CXL_IOCTL_DOWNLOAD_IMAGE, &image_);
    result_ = status < 0 ? -errno : status;
  }

  napi_value Answer(napi_env env) override { return Integer(env, result_); }

 private:
  Ref<CardFile> card_;
  const bool validate_;
  void* chunk_ = nullptr;
  cxl_adapter_image image_ = {};
  int result_ = 0;
};

}  // namespace

const char CardFile::kName[] = "CardFile";
const napi_type_tag CardFile::kTag = {0x6e6f64652d63786cULL, 0x636172642d66696cULL};

bool CardFile::Define(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"fd", nullptr, nullptr, Fd, nullptr, nullptr, napi_default, nullptr},
      {"transfer", nullptr, Transfer, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"close", nullptr, CloseFile, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Wrapped<CardFile>::Define(env, methods, sizeof methods / sizeof *methods);
}

napi_value CardFile::New(napi_env env, int fd) {
  Environment* environment = Environment::Of(env);
  if (environment == nullptr) {
    close(fd);
    return nullptr;
  }
  Ref<CardFile> card(new CardFile(environment, fd));
  return Wrapped<CardFile>::New(env, card.get());
}

int CardFile::Close() {
  if (closed_.exchange(true)) return 0;
  return close(fd) != 0 && errno != EINTR ? -errno : 0;
}

void CardFile::Collected(napi_env env) {
  if (leaving_) return;
  leaving_ = true;
  environment_->control().Submit(env, new CloseOperation<CardFile>(this), nullptr);
}

napi_value CardFile::Fd(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  CardFile* card = Wrapped<CardFile>::Receiver(env, arguments.self());
  if (card == nullptr) return nullptr;
  return Integer(env, card->leaving_ ? -1 : card->fd);
}

// transfer(validate, needsHeader, data, imageLength, settle)
napi_value CardFile::Transfer(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  bool validate;
  bool needs_header;
  int64_t image_length;
  napi_typedarray_type type;
  size_t length;
  void* data;
  CardFile* card = Wrapped<CardFile>::Receiver(env, arguments.self());
  if (card == nullptr || !arguments.Bool(0, &validate) || !arguments.Bool(1, &needs_header) ||
      !Succeeded(env, napi_get_typedarray_info(env, arguments[2], &type, &length, &data, nullptr,
                                               nullptr)) ||
      !arguments.Int64(3, &image_length)) {
    return nullptr;
  }
  if (type != napi_uint8_array || length > CXL_AI_MAX_CHUNK_SIZE) {
    ThrowRangeError(env, "a chunk of an image is at most 1 MiB, as a Uint8Array");
    return nullptr;
  }
  auto operation = new TransferOperation(card, validate);
  operation->Take(data, length, needs_header, static_cast<uint64_t>(image_length));
  card->environment_->control().Submit(env, operation, arguments[4]);
  return nullptr;
}

// close(settle)
napi_value CardFile::CloseFile(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  CardFile* card = Wrapped<CardFile>::Receiver(env, arguments.self());
  if (card == nullptr) return nullptr;
  card->leaving_ = true;
  card->environment_->control().Submit(env, new CloseOperation<CardFile>(card), arguments[0]);
  return nullptr;
}

}  // namespace cxl
